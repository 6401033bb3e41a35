import { mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { type Network, networkSchema } from '../../src/boot/network.ts'
import { openRecords, type RecordBook, type RecordOptions } from '../../src/store/record.ts'
import { makeScratch } from '../support/scratch.ts'

type Bench = { depot: string; book: RecordBook; events: BootEvent[]; put: (file: string, text: string) => Promise<void>; told: () => string[] }

// Watching is quick in these tests; where only reload() counts, the watch is slow enough never to come first.
const quick = { debounceMs: 5, recheckMs: 3_600_000 }
const deaf = { debounceMs: 3_600_000, recheckMs: 3_600_000 }

async function openBench(files: Record<string, string> = {}, more: Partial<RecordOptions> = deaf): Promise<Bench> {
  const depot = more.depot ?? (await makeScratch())
  const put = async (file: string, text: string) => {
    await mkdir(dirname(join(depot, file)), { recursive: true })
    await writeFile(join(depot, file), text)
  }
  for (const [file, text] of Object.entries(files)) await put(file, text)
  const events: BootEvent[] = []
  const book = await openRecords({ depot, emit: (event) => void events.push(event), now: () => 7, ...more })
  onTestFinished(() => book.close())
  const told = () =>
    events
      .splice(0)
      .map(({ kind, detail }) => `${kind} ${detail?.file}${detail?.line ? `:${detail.line}` : ''}${detail?.code ? ` ${detail.code}` : ''}`)
  return { depot, book, events, put, told }
}

/** Resolves at the first change after which the condition holds. */
const until = (book: RecordBook, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const stop = book.onChange(check)
    function check() {
      if (!holds()) return
      stop()
      resolve()
    }
    check()
  })

const names = (book: RecordBook) => book.current().stations.map(({ name }) => name)
const problems = (book: RecordBook) =>
  book.problems().map(({ code, file, line, path }) => `${code} ${file}${line ? `:${line}` : ''}${path ? ` ${path}` : ''}`)
const kiosk = 'mac: 52:54:00:00:00:01\n'

describe('reading records', () => {
  it('begins with what is built in where there is no depot yet', async () => {
    const { book } = await openBench({}, { ...deaf, depot: join(await makeScratch(), 'later') })
    expect([names(book), [...book.current().profiles.keys()].sort(), book.problems()]).toEqual([
      [],
      ['alpine', 'bare', 'ignore', 'local', 'menu', 'shell', 'wait'],
      [],
    ])
  })

  it('takes the name from the file, and mac in place of macs', async () => {
    const { book } = await openBench({
      'stations/kiosk-1.yaml': '# front door\nmac: 52-54-00-00-00-01\nprofile: kiosk\naddress: 10.9.0.5\nlabels: {room: hall}\n',
      'stations/server.yml': 'name: big-one\nmacs: [5254.0000.0002, "525400000003", 52:54:00:00:00:02]\n',
      'stations/.hidden.yaml': 'x',
      'stations/kiosk.yaml~': 'x',
      'stations/#kiosk.yaml#': 'x',
      'stations/readme.txt': 'x',
      'stations/folder.yaml/inside': 'x',
      'profiles/kiosk.yaml': 'kind: alpine\nrelease: alpine/3.22\n',
      'profiles/wait.yaml': 'kind: wait\ntemplate: our-wait\n',
      'releases/alpine/3.22/vmlinuz-lts': '',
      'releases/alpine/3.22/initramfs-lts': '',
    })
    expect(book.problems()).toEqual([])
    expect(names(book)).toEqual(['big-one', 'kiosk-1'])
    const { stationByMac, profiles, releases } = book.current()
    expect([...stationByMac].map(([mac, { name }]) => [mac, name])).toEqual([
      ['52:54:00:00:00:02', 'big-one'],
      ['52:54:00:00:00:03', 'big-one'],
      ['52:54:00:00:00:01', 'kiosk-1'],
    ])
    expect(stationByMac.get('52:54:00:00:00:01' as never)).toMatchObject({
      profile: 'kiosk',
      address: '10.9.0.5',
      labels: { room: 'hall' },
      arguments: [],
    })
    expect(profiles.get('kiosk')).toMatchObject({ kind: 'alpine', release: 'alpine/3.22', overlay: 'required', sshKeys: true })
    expect(profiles.get('wait')).toEqual({ kind: 'wait', name: 'wait', template: 'our-wait' })
    expect(releases.map(({ id }) => id)).toEqual(['alpine/3.22'])
  })

  const bad: [string, string, string, string[]][] = [
    ['no YAML', 'stations/a.yaml', 'mac: [1\n', ['yaml stations/a.yaml:2']],
    ['an empty file', 'stations/a.yaml', '', ['wrong-type stations/a.yaml:1']],
    ['a bad MAC', 'stations/a.yaml', '# x\nmac: 52:54:00:00:00\n', ['bad-value stations/a.yaml:2 mac']],
    ['a MAC that YAML takes for a number', 'stations/a.yaml', 'mac: 525400000001\n', ['wrong-type stations/a.yaml:1 mac']],
    ['a bad MAC in a list', 'stations/a.yaml', 'macs:\n  - 52:54:00:00:00:01\n  - none\n', ['bad-value stations/a.yaml:3 macs[1]']],
    ['no MAC', 'stations/a.yaml', 'hostname: tftpclient\n', ['no-mac stations/a.yaml:1 macs']],
    ['mac and macs', 'stations/a.yaml', 'macs: [52:54:00:00:00:01]\nmac: 52:54:00:00:00:02\n', ['mac-and-macs stations/a.yaml:2 mac']],
    ['a misspelt key', 'stations/a.yaml', `${kiosk}profil: x\n`, ['unknown-key stations/a.yaml:2 profil']],
    [
      'an argument that a shell would run',
      'stations/a.yaml',
      `${kiosk}arguments: [quiet, "a;reboot"]\n`,
      ['bad-value stations/a.yaml:2 arguments[1]'],
    ],
    ['a file name that is no name', 'stations/my kiosk.yaml', kiosk, ['file-name stations/my kiosk.yaml:1']],
    [
      'several mistakes',
      'stations/a.yaml',
      `${kiosk}x: 1\naddress: 10.9.0\n`,
      ['bad-value stations/a.yaml:3 address', 'unknown-key stations/a.yaml:2 x'],
    ],
    ['an unknown kind', 'profiles/a.yaml', 'kind: alpin\n', ['not-allowed profiles/a.yaml:1 kind']],
    ['a path out of the depot', 'profiles/a.yaml', 'kind: alpine\nkernel: ../vmlinuz\n', ['bad-value profiles/a.yaml:2 kernel']],
    ['a key of another kind', 'profiles/a.yaml', 'kind: local\nrelease: x\n', ['unknown-key profiles/a.yaml:2 release']],
  ]
  it.each(bad)('reports %s with file and line, and keeps the others', async (_, file, text, expected) => {
    const { book, told } = await openBench({ [file]: text, 'stations/good.yaml': 'mac: 52:54:00:00:00:09' })
    expect(problems(book).sort()).toEqual([...expected].sort())
    expect(names(book)).toEqual(['good'])
    expect(told().length).toBe(expected.length)
  })

  it('says what is allowed', async () => {
    const { book, events } = await openBench({ 'profiles/a.yaml': 'kind: alpine\noverlay: requird\n' })
    const message = '"requird" is not allowed; did you mean required? allowed: required, none'
    expect(book.problems()[0]).toEqual({
      code: 'not-allowed',
      severity: 'error',
      message,
      file: 'profiles/a.yaml',
      line: 2,
      path: 'overlay',
    })
    expect(events).toEqual([
      {
        at: 7,
        kind: 'record-bad',
        detail: { file: 'profiles/a.yaml', line: 2, code: 'not-allowed', severity: 'error', reason: `overlay: ${message}` },
      },
    ])
  })

  it('gives a MAC that two stations claim to the first by name', async () => {
    const { book } = await openBench({
      'stations/a.yaml': 'name: zeta\nmacs:\n  - 52:54:00:00:00:01\n  - 52:54:00:00:00:02\n',
      'stations/b.yaml': kiosk,
    })
    expect(problems(book)).toEqual(['mac-twice stations/a.yaml:2 macs'])
    expect(book.problems()[0]?.message).toContain('52:54:00:00:00:01 is also in station b')
    expect([...book.current().stationByMac].map(([mac, { name }]) => [mac, name])).toEqual([
      ['52:54:00:00:00:01', 'b'],
      ['52:54:00:00:00:02', 'zeta'],
    ])
    expect(book.current().stations.map(({ name, macs }) => [name, macs.length])).toEqual([
      ['b', 1],
      ['zeta', 1],
    ])
  })

  it('gives a name that two files claim to the first file', async () => {
    const { book } = await openBench({ 'stations/a.yaml': kiosk, 'stations/b.yaml': 'name: a\nmac: 52:54:00:00:00:02\n' })
    expect([names(book), problems(book)]).toEqual([['a'], ['name-twice stations/b.yaml:1 name']])
    expect(book.current().stationByMac.size).toBe(1)
  })

  it('checks stations against the networks', async () => {
    const networks: Network[] = [
      networkSchema.parse({ name: 'lab', interface: 'eth1', subnet: '10.9.0.0/24', serverAddress: '10.9.0.1', pool: ['10.9.0.100-10.9.0.200'] }),
    ]
    const { book } = await openBench(
      { 'stations/a.yaml': `${kiosk}group: g\naddress: 10.8.0.5\n`, 'stations/b.yaml': 'mac: 52:54:00:00:00:02\naddress: 10.9.0.1\n' },
      { ...deaf, networks },
    )
    expect(problems(book)).toEqual(['station-outside stations/a.yaml:3 address', 'station-own stations/b.yaml:2 address'])
  })

  it('knows where a key was written', async () => {
    const { book } = await openBench({ 'profiles/a.yaml': 'kind: alpine\n\nrelease: x\n', 'stations/b.yaml': `group: g\n${kiosk}` })
    expect(book.placeOf('profiles', 'a', ['release'])).toEqual({ file: 'profiles/a.yaml', line: 3, path: 'release' })
    expect(book.placeOf('stations', 'b', ['macs', 0])).toEqual({ file: 'stations/b.yaml', line: 2, path: 'mac' })
    expect(book.placeOf('profiles', 'wait', ['release'])).toEqual({ file: 'profiles/wait', path: 'release' })
  })
})

describe('reading again', () => {
  it('keeps the last good record while its file is bad, tells once for each change, and tells when it is healed', async () => {
    const { book, put, told } = await openBench({ 'stations/a.yaml': `${kiosk}group: one\n` })
    const group = () => book.current().stations[0]?.group
    await put('stations/a.yaml', `${kiosk}group: two\nx: 1\n`)
    await book.reload()
    await book.reload()
    expect([group(), problems(book), told()]).toEqual(['one', ['unknown-key stations/a.yaml:3 x'], ['record-bad stations/a.yaml:3 unknown-key']])
    await put('stations/a.yaml', '')
    await book.reload()
    expect([group(), told()]).toEqual(['one', ['record-bad stations/a.yaml:1 wrong-type']])
    await put('stations/a.yaml', `${kiosk}group: three\n`)
    await book.reload()
    expect([group(), problems(book), told()]).toEqual(['three', [], ['record-good stations/a.yaml']])
  })

  it('takes a record out when its file goes, a bad one too', async () => {
    const { book, depot, put, told } = await openBench({ 'stations/a.yaml': kiosk, 'stations/b.yaml': 'mac: 52:54:00:00:00:02' })
    await put('stations/b.yaml', 'bad')
    await book.reload()
    expect([names(book), told()]).toEqual([['a', 'b'], ['record-bad stations/b.yaml:1 wrong-type']])
    await rm(join(depot, 'stations/a.yaml'))
    await rm(join(depot, 'stations/b.yaml'))
    await book.reload()
    expect([names(book), problems(book), told()]).toEqual([[], [], ['record-good stations/b.yaml']])
  })

  it('follows a renamed file, and a new file of the same content', async () => {
    const { book, depot } = await openBench({ 'stations/a.yaml': kiosk })
    await rename(join(depot, 'stations/a.yaml'), join(depot, 'stations/b.yaml'))
    await book.reload()
    expect([names(book), book.problems()]).toEqual([['b'], []])
  })

  it('reads unchanged files too when it is asked: a change within the clock tick of the file system', async () => {
    const { book, depot, put } = await openBench({ 'stations/a.yaml': `${kiosk}group: one\n` })
    await put('stations/a.yaml', `${kiosk}group: two\n`)
    await utimes(join(depot, 'stations/a.yaml'), 1, 1)
    await book.reload()
    expect(book.current().stations[0]?.group).toBe('two')
  })

  it('answers new records after a reload that was asked for, the same ones after a look that finds nothing new', async () => {
    const { book } = await openBench({ 'stations/a.yaml': kiosk }, { debounceMs: 3_600_000, recheckMs: 1 })
    const before = book.current()
    await new Promise(setImmediate)
    expect(book.current()).toBe(before)
    await book.reload()
    expect(book.current()).not.toBe(before)
    expect(book.current()).toEqual(before)
  })

  it('keeps a file in force that cannot be read, and says so', async () => {
    const { book, depot, told } = await openBench({ 'stations/a.yaml': kiosk })
    await rm(join(depot, 'stations/a.yaml'))
    await symlink('a.yaml', join(depot, 'stations/a.yaml'))
    await book.reload()
    expect([names(book), problems(book), told()]).toEqual([
      ['a'],
      ['file-unreadable stations/a.yaml'],
      ['record-bad stations/a.yaml file-unreadable'],
    ])
  })

  it('keeps everything when the whole depot is gone (a lost mount), and reads it when it is back', async () => {
    const { book, depot, told } = await openBench({ 'stations/a.yaml': kiosk, 'releases/r/vmlinuz-lts': '', 'releases/r/initramfs-lts': '' })
    await rename(depot, `${depot}.away`)
    await book.reload()
    expect([names(book), book.current().releases.length, problems(book).length, told().length]).toEqual([['a'], 1, 1, 1])
    expect(book.problems()[0]).toMatchObject({ code: 'depot-lost', severity: 'error' })
    await rename(`${depot}.away`, depot)
    await book.reload()
    expect([names(book), problems(book), told().length]).toEqual([['a'], [], 1])
  })

  it('tells listeners of changes, not of nothing; one that throws harms nobody', async () => {
    const { book, put } = await openBench({ 'stations/a.yaml': kiosk })
    let calls = 0
    book.onChange(() => {
      throw new Error('bad listener')
    })
    const stop = book.onChange(() => calls++)
    await put('stations/b.yaml', 'mac: 52:54:00:00:00:02')
    await book.reload()
    expect(calls).toBe(1)
    stop()
    await book.reload()
    expect(calls).toBe(1)
  })

  it('sees in a reload all that was there when it was asked for', async () => {
    const { book, put } = await openBench()
    const done: Promise<void>[] = []
    for (let number = 0; number < 20; number++) {
      await put(`stations/s${number}.yaml`, `mac: 52:54:00:00:01:${number.toString(16).padStart(2, '0')}`)
      done.push(book.reload().then(() => expect(book.current().stations.length).toBeGreaterThan(number)))
    }
    await Promise.all(done)
  })
})

describe('watching', () => {
  it('sees new, changed and removed files', async () => {
    const { book, depot, put } = await openBench({ 'stations/a.yaml': kiosk }, quick)
    await put('stations/b.yaml', 'mac: 52:54:00:00:00:02')
    await until(book, () => names(book).join() === 'a,b')
    await put('stations/a.yaml', 'mac: 52:54:00:00:00:07')
    await until(book, () => book.current().stationByMac.has('52:54:00:00:00:07' as never))
    await rm(join(depot, 'stations/a.yaml'))
    await until(book, () => names(book).join() === 'b')
  })

  it('sees a file that an editor replaces by renaming', async () => {
    const { book, depot, put } = await openBench({ 'stations/a.yaml': kiosk }, quick)
    await put('stations/.a.yaml.swp', `${kiosk}group: new\n`)
    await rename(join(depot, 'stations/.a.yaml.swp'), join(depot, 'stations/a.yaml'))
    await until(book, () => book.current().stations[0]?.group === 'new')
  })

  it('sees folders that are made later, the depot itself too, and folders made again', async () => {
    const depot = join(await makeScratch(), 'later', 'depot')
    const { book, put } = await openBench({}, { ...quick, depot })
    await put('stations/a.yaml', kiosk)
    await until(book, () => names(book).join() === 'a')
    await put('profiles/p.yaml', 'kind: local')
    await until(book, () => book.current().profiles.has('p'))
    await rm(join(depot, 'stations'), { recursive: true })
    await until(book, () => names(book).length === 0)
    await put('stations/b.yaml', kiosk)
    await until(book, () => names(book).join() === 'b')
  })

  it('sees a release being filled, deep down', async () => {
    const { book, put } = await openBench({}, quick)
    await put('releases/alpine/3.22/x86_64/lts/vmlinuz-lts', '')
    await until(book, () => problems(book).join() === 'release-incomplete releases/alpine/3.22/x86_64/lts')
    await put('releases/alpine/3.22/x86_64/lts/initramfs-lts', '')
    await until(book, () => book.current().releases.length === 1 && book.problems().length === 0)
    await put('releases/alpine/3.22/x86_64/lts/modloop-lts', '')
    await until(book, () => book.current().releases[0]?.modloop !== undefined)
  })

  it('looks by itself where no notice comes (a network mount)', async () => {
    const { book, put } = await openBench({ 'stations/a.yaml': kiosk }, { debounceMs: 3_600_000, recheckMs: 10 })
    await put('stations/b.yaml', 'mac: 52:54:00:00:00:02')
    await until(book, () => names(book).join() === 'a,b')
  })

  it('ends with close', async () => {
    const { book, put, told } = await openBench({ 'stations/a.yaml': kiosk }, { debounceMs: 1, recheckMs: 1 })
    book.close()
    await put('stations/b.yaml', 'bad')
    await book.reload()
    expect([names(book), told()]).toEqual([['a'], []])
  })
})
