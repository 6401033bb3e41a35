import { describe, expect, it } from 'vitest'
import type { Mac } from '../../src/boot/address.ts'
import type { Facts } from '../../src/boot/client.ts'
import { chooseProfile, labelsOf } from '../../src/boot/match.ts'
import { makeRecords, makeSite, makeStation, testMac } from '../support/core.ts'

const local = (match?: object, priority?: number) => ({ kind: 'local', ...(match && { match }), ...(priority !== undefined && { priority }) })

describe('labelsOf', () => {
  it('joins what the record says and what the station tells; the record wins', () => {
    const station = makeStation({ group: 'hall', labels: { room: '12', product: 'ours' } })
    const facts: Facts = { product: 'told', serial: '7', hostname: '', manufacturer: 'QEMU' }
    expect(labelsOf(testMac, station, facts)).toEqual({
      name: 'kiosk',
      group: 'hall',
      room: '12',
      product: 'ours',
      mac: testMac,
      serial: '7',
      manufacturer: 'QEMU',
    })
  })

  it('does not let a station give itself a name, a group or another MAC', () => {
    const facts = { name: 'server', group: 'admin', mac: '52:54:00:00:00:09' } as Facts
    const station = makeStation({ group: 'hall' })
    expect(labelsOf(testMac, station, facts)).toMatchObject({ name: 'kiosk', group: 'hall', mac: testMac })
    expect(labelsOf(testMac, undefined, facts).mac).toBe(testMac)
  })
})

describe('chooseProfile', () => {
  // station record, profiles, what the station tells, site → profile, and the rules that were looked at ('-' where they lost).
  type Row = [name: string, station: object | undefined, profiles: Record<string, object>, facts: Facts, site: object, profile: string, rules: string]
  const rows: Row[] = [
    ['the record’s own profile', { profile: 'a' }, { a: local(), default: local() }, {}, {}, 'a', 'station station.profile'],
    [
      'the record’s own before any match',
      { profile: 'a', group: 'g' },
      { a: local(), b: local({ group: 'g' }) },
      {},
      {},
      'a',
      'station station.profile',
    ],
    ['a record’s profile that is gone: wait, not the default', { profile: 'x' }, { default: local() }, {}, {}, 'wait', 'station -station.profile'],
    ['the match of the group', { group: 'g' }, { a: local({ group: 'g' }), default: local() }, {}, {}, 'a', 'station match'],
    [
      'the match with more labels',
      { group: 'g', labels: { room: '1' } },
      { a: local({ group: 'g' }), b: local({ group: 'g', room: '1' }) },
      {},
      {},
      'b',
      'station -match match',
    ],
    [
      'the smaller match when the larger fails',
      { group: 'g' },
      { a: local({ group: 'g' }), b: local({ group: 'g', room: '1' }) },
      {},
      {},
      'a',
      'station -match match',
    ],
    [
      'the first name of two equal matches',
      { group: 'g' },
      { b: local({ group: 'g' }), a: local({ group: 'g' }) },
      {},
      {},
      'a',
      'station -match match',
    ],
    ['the match of what the station tells', {}, { a: local({ manufacturer: 'QEMU' }) }, { manufacturer: 'QEMU' }, {}, 'a', 'station match'],
    ['a match by MAC and name', {}, { a: local({ mac: testMac, name: 'kiosk' }) }, {}, {}, 'a', 'station match'],
    ['one of a list of values', { labels: { room: '2' } }, { a: local({ room: ['1', '2'] }), default: local() }, {}, {}, 'a', 'station match'],
    [
      'none of a list of values',
      { labels: { room: '3' } },
      { a: local({ room: ['1', '2'] }), default: local() },
      {},
      {},
      'default',
      'station -match default',
    ],
    [
      'one of several blocks',
      { group: 'h' },
      { a: local([{ group: 'g', room: '1' }, { group: 'h' }]), default: local() },
      {},
      {},
      'a',
      'station match',
    ],
    [
      'none of several blocks',
      { group: 'i' },
      { a: local([{ group: 'g' }, { group: 'h' }]), default: local() },
      {},
      {},
      'default',
      'station -match default',
    ],
    [
      'the block that fits counts, not the largest',
      { group: 'g', labels: { room: '1' } },
      { a: local([{ group: 'g' }, { x: '1', y: '1', z: '1' }]), b: local({ group: 'g', room: '1' }) },
      {},
      {},
      'b',
      'station -match match',
    ],
    [
      'the higher priority before more labels',
      { group: 'g', labels: { room: '1' } },
      { a: local({ group: 'g' }, 5), b: local({ group: 'g', room: '1' }) },
      {},
      {},
      'a',
      'station -match match',
    ],
    [
      'a negative priority last',
      { group: 'g', labels: { room: '1' } },
      { a: local({ group: 'g' }), b: local({ group: 'g', room: '1' }, -1) },
      {},
      {},
      'a',
      'station -match match',
    ],
    [
      'the station itself before more labels of its group',
      { group: 'g', labels: { room: '1', floor: '2' } },
      { a: local({ group: 'g', room: '1', floor: '2' }), b: local({ mac: testMac }), c: local({ name: 'kiosk' }) },
      {},
      {},
      'b',
      'station -match -match match',
    ],
    [
      'a priority before the station itself',
      { group: 'g' },
      { a: local({ group: 'g' }, 1), b: local({ mac: testMac }) },
      {},
      {},
      'a',
      'station -match match',
    ],
    [
      'a high priority that does not fit',
      { group: 'g' },
      { a: local({ group: 'h' }, 9), b: local({ group: 'g' }) },
      {},
      {},
      'b',
      'station -match match',
    ],
    [
      'a block without labels fits everybody, last',
      {},
      { a: local({}), b: local({ group: 'g' }), default: local() },
      {},
      {},
      'a',
      'station -match match',
    ],
    ['the default when nothing matches', { group: 'g' }, { a: local({ group: 'h' }), default: local() }, {}, {}, 'default', 'station -match default'],
    ['another default', {}, { own: local() }, {}, { defaultProfile: 'own' }, 'own', 'station default'],
    ['a default that is not there: wait', {}, {}, {}, {}, 'wait', 'station default -profile'],
    ['nobody: the setting for unknown ones', undefined, { default: local() }, {}, { unknown: 'menu' }, 'menu', '-station unknown'],
    ['nobody, with a match', undefined, { a: local({ buildarch: 'arm64' }), default: local() }, { buildarch: 'arm64' }, {}, 'a', '-station match'],
    ['nobody cannot match a group', undefined, { a: local({ group: 'g' }) }, {}, {}, 'wait', '-station -match unknown'],
    ['nobody, and the setting names nothing: wait', undefined, { default: local() }, {}, { unknown: 'gone' }, 'wait', '-station unknown -profile'],
    [
      'a label named as something every object has',
      {},
      { a: local({ constructor: 'x', default: 'y' }), default: local() },
      {},
      {},
      'default',
      'station -match default',
    ],
  ]
  it.each(rows)('%s', (_, station, profiles, facts, site, profile, rules) => {
    const records = makeRecords({ stations: station ? [makeStation(station)] : [], profiles })
    const choice = chooseProfile(testMac, facts, records, makeSite(site))
    expect(choice.profile.name).toBe(profile)
    expect(choice.why.map(({ rule, held }) => (held ? rule : `-${rule}`)).join(' ')).toBe(rules)
    expect(choice.station?.name).toBe(station ? 'kiosk' : undefined)
  })

  it('gives reasons that a person can read', () => {
    const records = makeRecords({ stations: [makeStation({ group: 'g' })], profiles: { a: local({ group: 'h' }), default: local() } })
    expect(chooseProfile(testMac, {}, records, makeSite()).why.map(({ text }) => text)).toEqual([
      '52:54:00:00:00:01 is station kiosk',
      'profile a wants group=h, the station has g',
      'nothing else is said: the site\'s setting "default" is default',
    ])
  })

  it('says what each block of a losing profile lacks', () => {
    const records = makeRecords({
      stations: [makeStation({ group: 'g' })],
      profiles: { a: local([{ group: ['h', 'i'] }, { group: 'g', room: '1' }]), default: local() },
    })
    expect(chooseProfile(testMac, {}, records, makeSite()).why[1]?.text).toBe(
      'profile a wants group=h or i, the station has g; or room=1, the station has none',
    )
  })

  it('says why a profile that fits is only second', () => {
    const station = makeStation({ group: 'g', labels: { room: '1' } })
    const profiles = {
      a: local({ group: 'g' }),
      b: local({ group: 'g', room: '1' }),
      c: local({ room: '1', group: 'g' }),
      d: local({ group: 'g' }, -2),
    }
    const texts = chooseProfile(testMac, {}, makeRecords({ stations: [station], profiles }), makeSite()).why.map(({ text }) => text)
    expect(texts.slice(1, -1)).toEqual([
      'profile c matches too, but b is first by its name',
      'profile a matches too, but b by more labels',
      'profile d matches too, but b has priority 0 over -2',
    ])
  })

  it('knows a station by each of its MACs', () => {
    const other = '52:54:00:00:00:02' as Mac
    const records = makeRecords({ stations: [makeStation({ macs: [testMac, other] })] })
    expect([testMac, other, '52:54:00:00:00:03' as Mac].map((mac) => chooseProfile(mac, {}, records, makeSite()).station?.name)).toEqual([
      'kiosk',
      'kiosk',
      undefined,
    ])
  })
})
