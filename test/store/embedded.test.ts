import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ConflictError, InputError } from '../../src/boot/error.ts'
import { openStore } from '../../src/store/embedded.ts'
import { openLeases } from '../../src/store/lease.ts'
import { openMarks } from '../../src/store/mark.ts'
import { describeStore, lease } from '../contract/store.ts'
import { makeScratch } from '../support/scratch.ts'

const options = { sync: true, now: () => 42 }
let folder = ''

describeStore(
  'embedded store',
  async () => {
    folder = join(await makeScratch(), 'state')
    return openStore(folder, options)
  },
  async (store) => {
    await store.close()
    return openStore(folder, options)
  },
)

describe('the state folder', () => {
  it('is made with its parents, for its owner alone', async () => {
    const path = join(await makeScratch(), 'deep', 'state')
    const store = await openStore(path, options)
    await store.leases.put([lease(1)])
    const modes = await Promise.all(
      ['.', ...(await readdir(path))].map(async (name) => [name, ((await stat(join(path, name))).mode & 0o777).toString(8)]),
    )
    expect(Object.fromEntries(modes)).toEqual({ '.': '700', 'leases.jsonl': '600', 'events.jsonl': '600', 'marks.jsonl': '600', 'lock.1': '600' })
    await store.close()
    expect(await readdir(path)).not.toContain('lock.1')
  })

  it('may be there already and keeps its mode', async () => {
    const path = join(await makeScratch(), 'state')
    await mkdir(path, { mode: 0o750 })
    await chmod(path, 0o750)
    await (await openStore(path, options)).close()
    expect((await stat(path)).mode & 0o777).toBe(0o750)
  })

  it('must be a folder: the message names the way out, and nothing stays locked', async () => {
    const path = join(await makeScratch(), 'state')
    await writeFile(path, '')
    await expect(openStore(path, options)).rejects.toMatchObject({ code: 'state-folder', message: expect.stringContaining('--state') })
    await expect(openStore(path, options)).rejects.toBeInstanceOf(InputError)
  })

  it('loses the drafts that a crash left', async () => {
    const path = await makeScratch()
    await writeFile(join(path, '.leases.jsonl.0a1b2c3d.tmp'), 'half')
    await writeFile(join(path, 'notes.txt'), 'somebody else wrote this')
    await (await openStore(path, options)).close()
    expect((await readdir(path)).sort()).toEqual(['events.jsonl', 'leases.jsonl', 'marks.jsonl', 'notes.txt'])
  })

  it('tells of lines that it could not understand by events', async () => {
    const path = await makeScratch()
    await writeFile(join(path, 'leases.jsonl'), `${JSON.stringify(lease(1))}\n{"network":"lab"}\n${JSON.stringify(lease(2))}\n{"netw`)
    await writeFile(join(path, 'marks.jsonl'), 'oops\n')
    const store = await openStore(path, options)
    expect(store.leases.all()).toEqual([lease(1), lease(2)])
    const told = store.events.read({ kinds: ['record-bad'] })
    expect(told.map(({ at, detail }) => [at, detail?.file, detail?.line])).toEqual([
      [42, expect.stringMatching(/\/leases\.jsonl$/), 2],
      [42, expect.stringMatching(/\/marks\.jsonl$/), 1],
    ])
    expect(told[0]?.detail?.reason).toContain('leases.jsonl.bad')
    await store.close()
    expect(await readFile(join(path, 'leases.jsonl.bad'), 'utf8')).toBe('{"network":"lab"}\n')
  })
})

describe('the lock', () => {
  it('keeps a second store out, and names the process', async () => {
    const path = await makeScratch()
    const store = await openStore(path, options)
    await expect(openStore(path, options)).rejects.toBeInstanceOf(ConflictError)
    await expect(openStore(join(path, '.', ''), options)).rejects.toMatchObject({
      code: 'state-locked',
      message: expect.stringContaining(`process ${process.pid}`),
    })
    await store.leases.put([lease(1)])
    await store.close()
    const again = await openStore(path, options)
    expect(again.leases.all()).toEqual([lease(1)])
    await again.close()
  })

  it('of a living process is respected, and taken over when it is dead', async () => {
    const path = await makeScratch()
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")'], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    await writeFile(join(path, 'lock.1'), JSON.stringify({ pid: child.pid }))
    await expect(openStore(path, options)).rejects.toMatchObject({ code: 'state-locked', message: expect.stringContaining(`process ${child.pid}`) })
    child.kill('SIGKILL')
    await once(child, 'exit')
    const store = await openStore(path, options)
    expect(JSON.parse(await readFile(join(path, 'lock.2'), 'utf8')).pid).toBe(process.pid)
    await store.close()
    expect((await readdir(path)).filter((name) => name.startsWith('lock'))).toEqual([])
  })

  it.runIf(process.platform === 'linux')('of a killed process that nobody has reaped is taken over', async () => {
    const path = await makeScratch()
    // The shell becomes a sleep, which does not know that it has a child.
    const keeper = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 30'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [said] = await once(keeper.stdout, 'data')
    const pid = Number(String(said))
    const stateOf = async () => (await readFile(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) (.).*$/s, '$1')
    while ((await stateOf()) !== 'Z') await nextTurn()
    await writeFile(join(path, 'lock.1'), JSON.stringify({ pid }))
    const store = await openStore(path, options)
    await store.close()
    keeper.kill('SIGKILL')
  })

  const stale: [string, string][] = [
    ['our own id, from the life before (a container is started again)', JSON.stringify({ pid: process.pid, startedAt: 'another-boot/1' })],
    ['an id that a later process has got', JSON.stringify({ pid: 1, startedAt: 'another-boot/1' })],
    ['no sense', 'what?'],
    ['nothing', ''],
  ]
  it.each(stale.filter(([, text]) => !text.includes('another-boot') || process.platform === 'linux'))(
    'is taken over when it holds %s',
    async (_, text) => {
      const path = await makeScratch()
      await writeFile(join(path, 'lock.1'), text)
      const store = await openStore(path, options)
      await store.close()
      expect((await readdir(path)).filter((name) => name.startsWith('lock'))).toEqual([])
    },
  )

  it.each([1, 2, 3, 4, 5])('goes to one only when many starters find a dead one at once (round %i)', async () => {
    const path = await makeScratch()
    await writeFile(join(path, 'lock.1'), JSON.stringify({ pid: 2 ** 22 + 7, startedAt: 'gone/1' }))
    const source = `
      import { takeLock } from ${JSON.stringify(join(import.meta.dirname, '../../src/store/lock.ts'))}
      process.stdin.once('data', () => takeLock(${JSON.stringify(path)}).then(() => console.log('mine'), (error) => console.log(error.code)))
      process.stdin.on('end', () => process.exit())
      console.log('ready')`
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['pipe', 'pipe', 'ignore'] }),
    )
    await Promise.all(children.map((child) => once(child.stdout, 'data')))
    const answers = children.map((child) => once(child.stdout, 'data'))
    for (const child of children) child.stdin.write('go')
    const told = (await Promise.all(answers)).map(([bytes]) => String(bytes).trim())
    for (const child of children) child.stdin.end()
    await Promise.all(children.map((child) => once(child, 'exit')))
    expect(told.sort()).toEqual(['mine', 'state-locked', 'state-locked', 'state-locked'])
  })
})

describe('compaction', () => {
  it('writes the leases again when most lines are of the past, and loses nothing that comes meanwhile', async () => {
    const path = join(await makeScratch(), 'leases.jsonl')
    const open = () => openLeases(path, { sync: false, report: () => undefined, limits: { factor: 4, minLines: 100 } })
    const leases = await open()
    for (let round = 0; round < 300; round++) await leases.put(Array.from({ length: 10 }, (_, index) => lease(index, { expiresAt: round })))
    await leases.close()
    const lines = (await readFile(path, 'utf8')).split('\n').length
    expect(lines).toBeLessThan(1500)
    const again = await open()
    expect(again.all()).toEqual(Array.from({ length: 10 }, (_, index) => lease(index, { expiresAt: 299 })))
    await again.close()
  })

  it('does the same for marks, removed ones included', async () => {
    const path = join(await makeScratch(), 'marks.jsonl')
    const marks = await openMarks(path, () => undefined, { factor: 4, minLines: 20 })
    for (let round = 0; round < 200; round++) await marks.set('a', round % 2 ? undefined : String(round))
    await marks.set('b', 'kept')
    await marks.close()
    expect((await readFile(path, 'utf8')).split('\n').length).toBeLessThan(100)
    const again = await openMarks(path, () => undefined)
    expect(again.entries('')).toEqual([['b', 'kept']])
    await again.close()
  })

  it('that the disk refuses is reported and not tried again at once', async () => {
    const scratch = await makeScratch()
    const path = join(scratch, 'state', 'leases.jsonl')
    await mkdir(join(scratch, 'state'))
    const told: string[] = []
    const leases = await openLeases(path, { sync: false, report: ({ reason }) => void told.push(reason), limits: { factor: 1, minLines: 10 } })
    const { rename } = await import('node:fs/promises')
    await rename(join(scratch, 'state'), join(scratch, 'moved'))
    for (let round = 0; round < 15; round++) {
      await leases.put([lease(1, { expiresAt: round })])
      await new Promise(setImmediate)
    }
    await leases.close()
    expect(told.length).toBe(1)
    expect(told[0]).toContain('cannot be compacted')
    expect((await readFile(join(scratch, 'moved', 'leases.jsonl'), 'utf8')).split('\n').length).toBe(16)
  })
})
