import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startGuarded, startUndo } from '../../src/nfs/guard.ts'
import { createKernel } from '../../src/nfs/kernel.ts'
import { createNfsLog } from '../../src/nfs/log.ts'
import { parseNfsPlan } from '../../src/nfs/plan.ts'
import { checkPort, findHolder } from '../../src/nfs/port.ts'
import { makeScratch } from '../support/scratch.ts'

const isAlive = (pid: number): boolean => {
  try {
    return !/^[^)]*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}
const poll = { timeout: 20_000, interval: 20 }

/** Starts the parent, answers it and the process id that its program wrote. */
async function startParent(...words: string[]) {
  const parent = spawn(process.execPath, [join(import.meta.dirname, 'guard-parent.ts'), ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void parent.kill('SIGKILL'))
  let text = ''
  parent.stdout.on('data', (bytes) => {
    text += bytes
  })
  const read = async (pattern: RegExp): Promise<number> => {
    await expect.poll(() => text, poll).toMatch(pattern)
    return Number(pattern.exec(text)?.[1])
  }
  return { parent, read }
}

describe('a guarded program', () => {
  it('ends when asked, also when it does not listen to SIGTERM at once', async () => {
    const lines: string[] = []
    const guarded = await startGuarded(['/bin/sh', '-c', 'trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 0.05; done'], (line) =>
      lines.push(line),
    )
    await expect.poll(() => lines, poll).toContain('ready')
    await guarded.stop()
    expect(await guarded.ended).not.toBe(0)
    await expect.poll(() => lines, poll).toContain('bye')
  })

  it('tells how it ended by itself', async () => {
    const guarded = await startGuarded(['/bin/sh', '-c', 'exit 3'], () => {})
    expect(await guarded.ended).toBe(3)
    await guarded.stop()
    expect(await (await startGuarded(['/no/such/program'], () => {})).ended).toBe(127)
  })

  it('does not outlive a parent that is killed', async () => {
    const { parent, read } = await startParent('run', '/bin/sh', '-c', 'echo program $$; exec sleep 600')
    const pid = await read(/^program (\d+)$/m)
    const guard = await read(/^guard (\d+)$/m)
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await expect.poll(() => isAlive(pid), poll).toBe(false)
    await expect.poll(() => isAlive(guard), poll).toBe(false)
  })

  it('undoes what was done when its parent is killed, and when asked', async () => {
    const scratch = await makeScratch()
    const { parent, read } = await startParent('undo', 'touch', join(scratch, 'killed'))
    await read(/^guard (\d+)$/m)
    expect(existsSync(join(scratch, 'killed'))).toBe(false)
    parent.kill('SIGKILL')
    await expect.poll(() => existsSync(join(scratch, 'killed')), poll).toBe(true)
    const guarded = await startUndo(['touch', join(scratch, 'asked')], () => {})
    expect(existsSync(join(scratch, 'asked'))).toBe(false)
    await guarded.stop()
    expect(existsSync(join(scratch, 'asked'))).toBe(true)
  })
})

describe("the kernel's exports", () => {
  async function makeRig() {
    const scratch = await makeScratch()
    await mkdir(join(scratch, 'bin'))
    const program = join(scratch, 'bin/exportfs')
    // The real one reads the file; this one notes what it would have read.
    await writeFile(program, `#!/bin/sh\necho "$1 $(cat ${scratch}/exports.d/b.exports 2>/dev/null | wc -l)" >> ${scratch}/calls\n`, { mode: 0o755 })
    const path = process.env.PATH
    process.env.PATH = `${join(scratch, 'bin')}:${path}`
    onTestFinished(() => {
      process.env.PATH = path
    })
    const file = join(scratch, 'exports.d/b.exports')
    const kernel = createKernel({ log: createNfsLog(join(scratch, 'log')), file })
    const calls = async () => (await readFile(join(scratch, 'calls'), 'utf8').catch(() => '')).trim().split('\n')
    const start = () =>
      kernel.start(parseNfsPlan({ engine: 'kernel', clients: ['10.9.0.7'] }), 'read-write', [
        { path: '/srv/pxe/configs', pseudo: '/x', uid: 0, gid: 0 },
      ])
    return { kernel, file, calls, start }
  }

  it('are there while it is open and gone afterwards', async () => {
    const { file, calls, start } = await makeRig()
    const exported = await start()
    expect(await readFile(file, 'utf8')).toMatch(/^"\/srv\/pxe\/configs" 10\.9\.0\.7\(rw,/m)
    await exported.stop()
    expect(existsSync(file)).toBe(false)
    expect(await calls()).toEqual(['-ra 2', '-ra 0'])
  })

  it('of a dead server are taken away, a file of somebody else is left', async () => {
    const { kernel, file, calls, start } = await makeRig()
    const exported = await start()
    const text = await readFile(file, 'utf8')
    await exported.stop()
    await writeFile(file, text)
    expect(await kernel.closeStale()).toContain('of a server that has gone')
    expect(existsSync(file)).toBe(false)
    await writeFile(file, '/srv *(rw)\n')
    expect(await kernel.closeStale()).toBeUndefined()
    expect(existsSync(file)).toBe(true)
    expect((await calls()).at(-1)).toBe('-ra 0')
  })
})

describe('a port', () => {
  it('that is taken is told with the name of who has it', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    expect(await findHolder(port)).toContain(`(process ${process.pid})`)
    await expect(checkPort('127.0.0.1', port)).rejects.toThrow(`port ${port} is taken by`)
    await expect(checkPort('192.0.2.1', port)).rejects.toThrow('EADDRNOTAVAIL')
    await new Promise((resolve) => server.close(resolve))
    await expect(checkPort('127.0.0.1', port)).resolves.toBeUndefined()
  })
})

describe('the log', () => {
  it('is bounded', async () => {
    const path = join(await makeScratch(), 'nfs/log')
    const log = createNfsLog(path)
    for (let line = 0; line < 3000; line++) log.write(`${line} ${'x'.repeat(1000)}`)
    expect(log.tail()).toHaveLength(50)
    const [size, old] = [readFileSync(path).length, readFileSync(`${path}.1`).length]
    expect(size).toBeLessThan(1.1e6)
    expect(old).toBeLessThan(1.1e6)
  })
})
