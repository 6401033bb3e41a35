// Saving back with what a station really has: busybox' sh, nc, base64 and wget, and a stand-in for lbu. Loopback only.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type HttpServer, startHttp } from '../../src/http/listen.ts'
import { openOverlays } from '../../src/overlay/open.ts'
import { createPhases, type Phases } from '../../src/station/phase.ts'
import { createScripts } from '../../src/station/script.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createRig, macA } from '../http/rig.ts'
import { goodOverlay } from '../support/overlay.ts'
import { describeWith } from '../support/tool.ts'

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string }

const name = `${macA.replaceAll(':', '-')}.tar.gz`
const good = goodOverlay('saved-by-busybox')
const before = goodOverlay('before')
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let root = ''
let server: HttpServer
let phases: Phases
let rig: ReturnType<typeof createRig>
let base = ''
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'bvc-save-'))
  const [depot, state] = [join(root, 'depot'), join(root, 'state')]
  mkdirSync(join(depot, 'configs'), { recursive: true })
  const settings = { archive: 'last', report: true, keep: 5, saveMegabytes: 64 } as const
  const overlays = openOverlays({ depot, state, packages: { root: join(depot, 'apk') }, overlays: settings }, Date.now)
  phases = createPhases(createMemoryStore().marks, Date.now)
  rig = createRig({
    deps: {
      save: {
        phases,
        accept: overlays.accept,
        scripts: createScripts({ depot, emit: () => {}, now: Date.now }),
        findCaller: () => macA,
        folder: join(state, 'uploads'),
        maxBytes: 8 * 1024 * 1024,
        onSaved: () => {},
      },
    },
  })
  server = await startHttp({ app: rig.app, address: '127.0.0.1', port: 0 })
  base = `http://127.0.0.1:${server.port}`
})
afterEach(async () => {
  await server.stop()
  rmSync(root, { recursive: true, force: true })
})

/** A folder with the programs of a station: busybox' and nothing else, but an lbu that packs `overlay`. */
function makeStation(overlay: Uint8Array, without: readonly string[] = []): string {
  const programs = join(root, 'bin')
  mkdirSync(programs)
  const busybox = ['sh', 'nc', 'wget', 'base64', 'sha256sum', 'mktemp', 'rm', 'cut', 'tr', 'wc', 'cat', 'grep', 'sed', 'printf', 'cp']
  for (const one of busybox) if (!without.includes(one)) symlinkSync('/usr/bin/busybox', join(programs, one))
  writeFileSync(join(root, 'packed'), overlay)
  writeFileSync(join(programs, 'lbu'), `#!${programs}/sh\n[ "$1" = package ] && cp ${join(root, 'packed')} "$2"\n`, { mode: 0o755 })
  return programs
}

const inStation = (programs: string, command: string): Promise<Outcome> =>
  new Promise((resolve) => {
    const env = { PATH: programs, TMPDIR: root }
    execFile(join(programs, 'sh'), ['-c', command], { cwd: root, env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    )
  })

const inForce = (): string => {
  const path = join(root, 'depot/configs', name)
  return existsSync(path) ? sha(readFileSync(path)) : 'none'
}
const seen = (): string[] => rig.seen().map(({ kind, detail }) => `${kind} ${detail?.version ?? detail?.reason}`)

describeWith(['/usr/bin/busybox'], 'a station with busybox', () => {
  it.each([
    ['by nc, raw', []],
    ['by wget, as base64', ['nc']],
  ])('saves %s', async (_, without) => {
    await phases.open('kiosk', [macA], 3_600_000)
    const programs = makeStation(good, without)
    const outcome = await inStation(programs, `wget -q -O- ${base}/save | sh`)
    expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining('Bivouac: saved.') })
    expect(outcome.stdout).toContain(`sha256=${sha(good)}`)
    expect(inForce()).toBe(sha(good))
    expect(seen()).toEqual(['saved 1'])
    expect(await inStation(programs, 'echo *.tmp /tmp/none').then(({ stdout }) => stdout)).toContain('*.tmp')
  })

  it.each([
    ['by nc', []],
    ['by wget', ['nc']],
  ])('is told that it was refused, %s, and nothing changes', async (_, without) => {
    await phases.open('kiosk', [macA], 3_600_000)
    const programs = makeStation(good.subarray(0, good.length - 30), without)
    mkdirSync(join(root, 'depot/configs'), { recursive: true })
    writeFileSync(join(root, 'depot/configs', name), before)
    const outcome = await inStation(programs, `wget -q -O- ${base}/save | sh -x`)
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing was changed there') })
    expect(inForce()).toBe(sha(before))
  })

  it('gets nothing to run when no phase is open', async () => {
    const programs = makeStation(good)
    const outcome = await inStation(programs, `wget -O- ${base}/save | sh`)
    expect(outcome.stderr).toContain('403')
    expect(inForce()).toBe('none')
  })

  it('whose phase was closed meanwhile is refused with the reason', async () => {
    await phases.open('kiosk', [macA], 3_600_000)
    const programs = makeStation(good)
    await inStation(programs, `wget -q -O script ${base}/save`)
    await phases.close([macA])
    const outcome = await inStation(programs, 'sh script')
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('no configuration phase is open') })
    expect(inForce()).toBe('none')
  })

  it('that sends its file raw by wget, which cuts it at the first NUL, is refused', async () => {
    const { token } = await phases.open('kiosk', [macA], 3_600_000)
    const programs = makeStation(good)
    const outcome = await inStation(programs, `wget -O- --post-file packed ${base}/save/${token}/${name}`)
    expect(outcome.code).not.toBe(0)
    expect(inForce()).toBe('none')
  })
})

it('an upload that is cut off changes nothing and leaves nothing behind', async () => {
  const { token } = await phases.open('kiosk', [macA], 3_600_000)
  writeFileSync(join(root, 'depot/configs', name), before)
  const socket = connect(server.port, '127.0.0.1')
  socket.write(`PUT /save/${token}/${name} HTTP/1.0\r\nHost: x\r\nContent-Length: ${good.length}\r\n\r\n`)
  socket.write(good.subarray(0, 200))
  await expect.poll(() => existsSync(join(root, 'state/uploads'))).toBe(true)
  socket.destroy()
  await expect.poll(() => seen().length, { timeout: 20_000 }).toBe(1)
  expect(seen()[0]).toContain('save-refused the connection ended')
  expect(inForce()).toBe(sha(before))
})
