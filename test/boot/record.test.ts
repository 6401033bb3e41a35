import { describe, expect, it } from 'vitest'
import { depotPathSchema, kernelWordSchema, nameSchema, uuidSchema } from '../../src/boot/field.ts'
import { builtInProfiles, indexRecords, type Profile, profileSchema, stationSchema } from '../../src/boot/record.ts'
import { makeProfiles, makeStation } from '../support/core.ts'

const station = { name: 'kiosk', macs: ['52:54:00:00:00:01'] }
const alpine = { name: 'a', kind: 'alpine' }

describe('words', () => {
  const rows: [string, typeof nameSchema, string[], string[]][] = [
    ['a name', nameSchema, ['a', 'Kiosk-1', '0x', 'a.b_c', 'x'.repeat(63)], ['', '-a', '.a', 'a b', 'a/b', 'ä', 'a\n', 'x'.repeat(64), '..']],
    [
      'a path below the depot',
      depotPathSchema,
      ['a', 'boot/vmlinuz-lts', 'a.b/c+d@e_f', 'x/.y'],
      ['', '/a', 'a/', 'a//b', '..', '../a', 'a/../b', 'a/..', './a', 'a/.', 'a b', 'a\\b', 'a\n', 'a\0', 'ä', 'a%2f', 'a?b'],
    ],
    [
      'a kernel word',
      kernelWordSchema,
      ['quiet', 'console=ttyS0,115200', 'NAME_CONFIG=xl', 'a={MAC}', 'url=http://h:1/x?y=z&'.slice(0, -1), 'a~b'],
      ['', 'a b', 'a;b', 'a&b', 'a|b', '`a`', '$(a)', 'a$b', 'a"b', "a'b", 'a\\b', 'a\nb', 'a>b', 'a<b', 'a*b', 'a#b', 'a!b', 'a(b', 'ä', 'a\tb'],
    ],
  ]
  it.each(rows)('%s', (_, schema, good, bad) => {
    expect(good.filter((text) => !schema.safeParse(text).success)).toEqual([])
    expect(bad.filter((text) => schema.safeParse(text).success)).toEqual([])
  })

  it('a UUID is kept in small letters', () => {
    expect(uuidSchema.parse('B8945908-D6A6-41A9-8FF4-0123456789AB')).toBe('b8945908-d6a6-41a9-8ff4-0123456789ab')
    for (const bad of ['', 'b8945908d6a641a98ff40123456789ab', '{b8945908-d6a6-41a9-8ff4-0123456789ab}', 'b8945908-d6a6-41a9-8ff4-0123456789a'])
      expect(uuidSchema.safeParse(bad).success).toBe(false)
  })
})

describe('a station', () => {
  it('has its MACs in one form, and empty lists where nothing is said', () => {
    expect(stationSchema.parse({ ...station, macs: ['5254.0000.0001', '52-54-00-00-00-0A'] })).toEqual({
      name: 'kiosk',
      macs: ['52:54:00:00:00:01', '52:54:00:00:00:0a'],
      layers: [],
      variables: {},
      arguments: [],
      labels: {},
    })
  })

  const bad: [string, object][] = [
    ['no MAC', { macs: [] }],
    ['seventeen MACs', { macs: Array.from({ length: 17 }, (_, index) => `52:54:00:00:01:${index.toString(16).padStart(2, '0')}`) }],
    ['an address that is none', { address: '10.9.0.300' }],
    ['a host name with a dot', { hostname: 'a.b' }],
    ['a host name that ends in a dash', { hostname: 'a-' }],
    ['a label name with a blank', { labels: { 'a b': 'x' } }],
    ['a label that is a number', { labels: { a: 1 } }],
    ['a long label', { labels: { a: 'x'.repeat(129) } }],
    ['65 arguments', { arguments: Array.from({ length: 65 }, () => 'a') }],
    ['an unknown key', { macc: 'x' }],
  ]
  it.each(bad)('refuses %s', (_, more) => {
    expect(stationSchema.safeParse(station).success).toBe(true)
    expect(stationSchema.safeParse({ ...station, ...more }).success).toBe(false)
  })
})

describe('a profile', () => {
  it('of kind alpine asks for an overlay unless it says the word', () => {
    expect(profileSchema.parse(alpine)).toEqual({
      name: 'a',
      layers: [],
      variables: {},
      additions: [],
      kind: 'alpine',
      overlay: 'required',
      repositories: [],
      sshKeys: true,
      modules: ['loop', 'squashfs', 'sd-mod', 'usb-storage'],
      omit: [],
      arguments: [],
    })
    expect(profileSchema.safeParse({ ...alpine, overlay: 'none' }).success).toBe(true)
    expect(profileSchema.safeParse({ ...alpine, overlay: '' }).success).toBe(false)
  })

  const rows: [string, object, boolean][] = [
    [
      'repositories by URL and by path',
      { ...alpine, repositories: ['http://10.9.0.1/apk/v3.22/main', 'https://h:8/x/', 'apk/v3.22/main', 'apk/main/'] },
      true,
    ],
    ['a repository with a blank', { ...alpine, repositories: ['http://h/a b'] }, false],
    ['a repository by ftp', { ...alpine, repositories: ['ftp://h/a'] }, false],
    ['a repository out of the depot', { ...alpine, repositories: ['../apk'] }, false],
    ['a repository out of the depot, later', { ...alpine, repositories: ['apk/../../etc'] }, false],
    ['nine repositories', { ...alpine, repositories: Array.from({ length: 9 }, () => 'a') }, false],
    ['a module with a comma', { ...alpine, modules: ['a,b'] }, false],
    ['a kernel out of the depot', { ...alpine, kernel: '../../etc/shadow' }, false],
    ['a kernel by URL', { ...alpine, kernel: 'http://h/vmlinuz' }, false],
    ['an argument that a shell would run', { ...alpine, arguments: ['a=$(reboot)'] }, false],
    ['the old alpine_dev', { ...alpine, alpineDev: 'nfs:10.9.0.1:/srv/pxe' }, true],
    ['a match by lists, and by several blocks', { ...alpine, match: [{ group: ['a', 'b'] }, { room: '1' }], priority: -5 }, true],
    ['a match by nothing of a list', { ...alpine, match: { group: [] } }, false],
    ['a match by a number', { ...alpine, match: { room: 1 } }, false],
    ['a priority that is no whole number', { ...alpine, priority: 1.5 }, false],
    ['local', { name: 'l', kind: 'local' }, true],
    ['local with a kernel', { name: 'l', kind: 'local', kernel: 'x' }, false],
    ['script with its template', { name: 's', kind: 'script', template: 'our' }, true],
    ['script without a template', { name: 's', kind: 'script' }, false],
    ['an unknown kind', { name: 's', kind: 'windows' }, false],
    ['no kind', { name: 's' }, false],
  ]
  it.each(rows)('%s', (_, value, isGood) => {
    expect(profileSchema.safeParse(value).success).toBe(isGood)
  })
})

describe('indexRecords', () => {
  it('adds what is built in, and lets a record of that name replace it', () => {
    const own: Profile[] = makeProfiles({ wait: { kind: 'wait', template: 'our-wait' }, a: { kind: 'local' } })
    const { profiles } = indexRecords([], own, [])
    expect([...profiles.keys()].sort()).toEqual(['a', ...builtInProfiles.map(({ name }) => name)].sort())
    expect(profiles.get('wait')).toEqual({ name: 'wait', kind: 'wait', template: 'our-wait' })
    expect(profiles.get('local')).toEqual({ name: 'local', kind: 'local' })
  })

  it('has only schema-right profiles built in, none of which boots anything', () => {
    for (const profile of builtInProfiles) expect(profileSchema.parse(profile)).toEqual(profile)
    expect(builtInProfiles.map(({ name }) => name)).toEqual(['alpine', 'bare', 'local', 'menu', 'shell', 'wait', 'ignore'])
    expect(builtInProfiles.filter((profile) => profile.kind === 'alpine' && profile.overlay === 'none').map(({ name }) => name)).toEqual(['bare'])
  })

  it('finds a station by each of its MACs', () => {
    const one = makeStation({ macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'] })
    expect([...indexRecords([one], [], []).stationByMac]).toEqual([
      ['52:54:00:00:00:01', one],
      ['52:54:00:00:00:02', one],
    ])
  })

  it('finds a station by its address; the first where two have the same', () => {
    const [one, other, without] = [
      makeStation({ name: 'one', macs: ['52:54:00:00:00:01'], address: '10.9.0.21' }),
      makeStation({ name: 'other', macs: ['52:54:00:00:00:02'], address: '10.9.0.21' }),
      makeStation({ name: 'without', macs: ['52:54:00:00:00:03'] }),
    ]
    expect([...indexRecords([one, other, without], [], []).stationByAddress]).toEqual([['10.9.0.21', one]])
  })
})
