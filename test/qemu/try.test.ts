// `bivouac try` as the command line calls it: with the real server, on both roads, and when something is wrong.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { packOverlay, standInRelease, canBootFrom } from '../../src/qemu/depot.ts'
import { networkCommands } from '../../src/qemu/inside.ts'
import { runTry, type TryOptions, tryMac } from '../../src/qemu/lab.ts'
import { hasLoader } from '../../src/qemu/road.ts'
import { describeBoot, standInCache } from '../support/virtual.ts'

const folder = mkdtempSync(join(tmpdir(), 'bvc-try-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const put = (name: string, content: string | Uint8Array) => {
  mkdirSync(join(folder, name, '..'), { recursive: true })
  writeFileSync(join(folder, name), content)
}

describe('what a try takes', () => {
  it('boots from the operator’s depot when that has a release for PCs and an overlay for the virtual station', () => {
    put('bare/releases/alpine/3.22.2/aarch64/lts/vmlinuz-lts', '')
    put(`bare/configs/${tryMac}.tar.gz`, '')
    expect(canBootFrom(join(folder, 'bare'), tryMac)).toBe(false)
    put('bare/releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts', '')
    expect(canBootFrom(join(folder, 'bare'), tryMac)).toBe(true)
    rmSync(join(folder, `bare/configs/${tryMac}.tar.gz`))
    expect(canBootFrom(join(folder, 'bare'), tryMac)).toBe(false)
    put('bare/configs/default.tar.gz', '')
    expect(canBootFrom(join(folder, 'bare'), tryMac)).toBe(true)
    expect(canBootFrom(join(folder, 'nothing'), tryMac)).toBe(false)
  })

  it('takes the depot’s release also where the gate says that layers make the overlay', () => {
    put('layered/releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts', '')
    expect(canBootFrom(join(folder, 'layered'), tryMac)).toBe(false)
    expect(canBootFrom(join(folder, 'layered'), tryMac, true)).toBe(true)
    expect(canBootFrom(join(folder, 'nothing'), tryMac, true)).toBe(false)
  })

  it('finds a loader that lies in the depot', () => {
    put('loaders/ipxe/undionly.kpxe', '')
    put('loaders/ipxe/x86_64-efi/snponly.efi', '')
    expect(hasLoader('bios', join(folder, 'loaders'))).toBe(true)
    expect(hasLoader('uefi-http', join(folder, 'loaders'))).toBe(true)
  })

  it('makes its own network with these commands', () => {
    expect(networkCommands('tap9', '10.1.0.1/24').map((words) => words.join(' '))).toEqual([
      'link set lo up',
      'tuntap add dev tap9 mode tap',
      'address add 10.1.0.1/24 broadcast + dev tap9',
      'link set tap9 up',
    ])
  })
})

const serve = [process.execPath, resolve(import.meta.dirname, '../../src/cli/main.ts'), 'serve', '--quiet']
// One state folder for all, with the kernel that other tests have fetched.
mkdirSync(join(folder, 'state'))
symlinkSync(standInCache, join(folder, 'state/stand-in'))
const makeOptions = (more: Partial<TryOptions>): TryOptions & { lines: string[] } => {
  const lines: string[] = []
  const onStep = (line: string) => void lines.push(line)
  const common = { depot: join(folder, 'depot'), stateFolder: join(folder, 'state'), serverCommand: serve, timeoutMs: 180_000, onStep, lines }
  return { firmware: 'bios', road: 'http', ...common, ...more }
}
const stepsOf = (lines: readonly string[]) => lines.flatMap((line) => /^ +[\d.]+ s {2}([a-z-]+)/.exec(line)?.[1] ?? [])

describeBoot(['root', 'ip', 'unshare'], 'a try on the whole road', () => {
  it('shows every step from DHCP to up, and keeps the serial console', async () => {
    const keepSerial = join(folder, 'serial.log')
    const options = makeOptions({ road: 'whole', keepSerial })
    const result = await runTry(options)
    expect(result).toMatchObject({ isUp: true, road: 'whole', isStandIn: true })
    const road = ['discover', 'offer', 'request', 'ack', 'loader', 'script', 'kernel', 'initramfs', 'overlay', 'index', 'package', 'modloop', 'up']
    expect(stepsOf(options.lines)).toEqual(road)
    expect(options.lines.join('\n')).toMatch(/loader +undionly\.kpxe, tftp, \d+ KB/)
    expect(readFileSync(keepSerial, 'utf8')).toMatch(/^BVC overlay ok try$/m)
  })

  it('says why when the server does not start', async () => {
    const serverCommand = ['sh', '-c', 'echo the port is taken >&2; exit 3']
    await expect(runTry(makeOptions({ road: 'whole', serverCommand }))).rejects.toThrow(/does not answer[\s\S]*the port is taken/)
  })
})

describeBoot([], 'a try on the road http', () => {
  it('comes up without DHCP or TFTP of ours', async () => {
    const options = makeOptions({})
    expect(await runTry(options)).toMatchObject({ isUp: true, road: 'http', isStandIn: true })
    expect(stepsOf(options.lines)).toEqual(['script', 'kernel', 'initramfs', 'overlay', 'index', 'package', 'modloop', 'up'])
    expect(options.lines.join('\n')).toContain('a stand-in, not Alpine')
  })

  it('tells the likely cause when the station does not come up', async () => {
    const own = join(folder, 'own')
    // A kernel that is none, in a depot of the operator's own.
    put(`own/releases/${standInRelease}/vmlinuz-virt`, 'no kernel')
    put(`own/releases/${standInRelease}/initramfs-virt`, 'no initramfs')
    put(`own/configs/${tryMac}.tar.gz`, packOverlay('try'))
    put('own/stations/try.yaml', `macs: ["${tryMac}"]\n`)
    put('own/profiles/default.yaml', 'kind: alpine\n')
    const options = makeOptions({ depot: own, timeoutMs: 15_000 })
    const result = await runTry(options)
    expect(result).toMatchObject({ isUp: false, isStandIn: false })
    expect(result.cause).toMatch(/initramfs|kernel/)
    expect(result.serialTail).toContain('vmlinuz-virt')
  })

  it('does not wait with a station that its depot leaves waiting', async () => {
    const own = join(folder, 'strict')
    put(`strict/releases/${standInRelease}/vmlinuz-virt`, 'no kernel')
    put(`strict/releases/${standInRelease}/initramfs-virt`, 'no initramfs')
    put('strict/configs/default.tar.gz', packOverlay('anybody'))
    const result = await runTry(makeOptions({ depot: own }))
    expect(result).toMatchObject({ isUp: false, isStandIn: false, cause: expect.stringMatching(/profile wait.*bivouac explain/) })
  })

  it('ends at once when it is told to', async () => {
    const stop = new AbortController()
    const options = makeOptions({ onSerial: (line) => line.includes('iPXE') && stop.abort(), signal: stop.signal })
    const result = await runTry(options)
    expect(result.isUp).toBe(false)
    expect(result.tookMs).toBeLessThan(30_000)
  })

  it('refuses UEFI HTTP Boot, which needs a DHCP server of ours', async () => {
    await expect(runTry(makeOptions({ firmware: 'uefi-http' }))).rejects.toMatchObject({ code: 'road' })
  })
})
