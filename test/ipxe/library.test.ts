import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { firmwareByArch } from '../../src/boot/firmware.ts'
import { createLoaderLibrary, readEfiArch } from '../../src/ipxe/library.ts'
import { seededRandom } from '../support/random.ts'

const root = mkdtempSync(join(tmpdir(), 'bvc-library-'))
const depot = join(root, 'depot')
const distribution = join(root, 'usr/lib/ipxe')
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => rmSync(root, { recursive: true, force: true }))

function put(folder: string, name: string, bytes: Uint8Array | string = 'loader'): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), bytes)
}

/** The least that says "EFI program for this machine". */
function efi(machine: number): Uint8Array {
  const file = Buffer.alloc(256)
  file.write('MZ', 0, 'latin1')
  file.writeUInt32LE(128, 60)
  file.write('PE\0\0', 128, 'latin1')
  file.writeUInt16LE(machine, 132)
  return file
}

let clock = 1_000_000
const create = () => createLoaderLibrary({ depot, distributionFolders: [distribution], now: () => clock })
const found = (name: string) => {
  const loader = create().find(name)
  return loader && `${loader.source} ${loader.path.slice(root.length + 1)}`
}

describe('the loader library', () => {
  it('finds nothing where nothing is', () => {
    expect(found('undionly.kpxe')).toBeUndefined()
    expect(create().list()).toEqual([])
  })

  it("finds pxelinux and its modules where Debian and Alpine have them, the depot's first", () => {
    put(distribution, 'pxelinux.0')
    put(distribution, 'bios/ldlinux.c32')
    put(distribution, 'menu.c32')
    put(distribution, 'efi64/ldlinux.e64')
    expect(found('pxelinux.0')).toBe('distribution usr/lib/ipxe/pxelinux.0')
    expect(found('ldlinux.c32')).toBe('distribution usr/lib/ipxe/bios/ldlinux.c32')
    expect(found('menu.c32')).toBe('distribution usr/lib/ipxe/menu.c32')
    expect(found('ldlinux.e64')).toBe('distribution usr/lib/ipxe/efi64/ldlinux.e64')
    put(depot, 'ldlinux.c32')
    expect(found('ldlinux.c32')).toBe('depot depot/ldlinux.c32')
  })

  it("takes the depot's ipxe folder, then the depot's top, then the distribution's", () => {
    put(distribution, 'undionly.kpxe')
    expect(found('undionly.kpxe')).toBe('distribution usr/lib/ipxe/undionly.kpxe')
    put(depot, 'undionly.kpxe')
    expect(found('undionly.kpxe')).toBe('depot depot/undionly.kpxe')
    put(depot, 'ipxe/undionly.kpxe')
    expect(found('undionly.kpxe')).toBe('depot depot/ipxe/undionly.kpxe')
    expect(create().find('undionly.kpxe')?.depotPath).toBe('ipxe/undionly.kpxe')
  })

  it('says which artifact a published loader is, and nothing of others', () => {
    const fingerprint = 'ab12cd34ef56'.padEnd(64, '0')
    const manifest = { fingerprint, kind: 'patched', name: 'kiosk', target: 'bin/undionly.kpxe', builtAt: 5, script: { text: '#!ipxe' } }
    put(depot, `ipxe/artifacts/${fingerprint}/undionly.kpxe`)
    put(depot, `ipxe/artifacts/${fingerprint}/manifest.json`, JSON.stringify(manifest))
    symlinkSync(`artifacts/${fingerprint}/undionly.kpxe`, join(depot, 'ipxe/undionly.kpxe'))
    put(depot, 'ipxe/ipxe.pxe')
    const artifact = { fingerprint: 'ab12cd34ef56', kind: 'patched', target: 'bin/undionly.kpxe', recipe: 'kiosk', builtAt: 5 }
    expect(create().find('gpxe.kpxe')).toMatchObject({ source: 'depot', artifact })
    expect(create().find('ipxe.pxe')).not.toHaveProperty('artifact')
    for (const bad of ['no json', '{}', 'null', '{"kind":1}']) {
      put(depot, `ipxe/artifacts/${fingerprint}/manifest.json`, bad)
      expect(create().find('undionly.kpxe')).not.toHaveProperty('artifact')
    }
  })

  it("gives the document's gpxe.kpxe and undionly.kpxe the same file, whichever is there", () => {
    put(distribution, 'undionly.kpxe')
    expect(found('gpxe.kpxe')).toBe('distribution usr/lib/ipxe/undionly.kpxe')
    put(depot, 'gpxe.kpxe')
    expect(found('undionly.kpxe')).toBe('depot depot/gpxe.kpxe')
  })

  it.each([
    [0x8664, 'x86_64'],
    [0x14c, 'i386'],
    [0xaa64, 'arm64'],
    [0x1c2, 'arm32'],
    [0x5064, 'riscv64'],
    [0x6264, 'loong64'],
  ])('gives an EFI loader of machine %i only to %s', (machine, arch) => {
    put(distribution, 'snponly.efi', efi(machine))
    expect(readEfiArch(join(distribution, 'snponly.efi'))).toBe(arch)
    for (const { loader } of firmwareByArch.values()) {
      if (!loader?.endsWith('.efi')) continue
      expect(found(loader)).toBe(loader === `${arch}-efi/snponly.efi` ? 'distribution usr/lib/ipxe/snponly.efi' : undefined)
    }
  })

  it('takes ipxe.efi where the distribution has no snponly.efi, and no file that is no EFI program', () => {
    put(distribution, 'snponly.efi', 'not an EFI program')
    put(distribution, 'ipxe.efi', efi(0x8664))
    expect(found('x86_64-efi/snponly.efi')).toBe('distribution usr/lib/ipxe/ipxe.efi')
    expect(found('snponly.efi')).toBe('distribution usr/lib/ipxe/ipxe.efi')
  })

  it('takes a folder or an empty file for nothing', () => {
    mkdirSync(join(depot, 'ipxe/undionly.kpxe'), { recursive: true })
    put(distribution, 'undionly.kpxe', '')
    expect(found('undionly.kpxe')).toBeUndefined()
  })

  it.each(['../secret.efi', '/etc/passwd', 'a/../../x', '.hidden', '', 'x\0y', 'a//b'])('never looks for %j', (name) => {
    put(depot, 'x')
    expect(found(name)).toBeUndefined()
  })

  it('believes an answer for five seconds', () => {
    const library = create()
    expect(library.find('undionly.kpxe')).toBeUndefined()
    put(depot, 'undionly.kpxe')
    clock += 4999
    expect(library.find('undionly.kpxe')).toBeUndefined()
    clock += 1
    expect(library.find('undionly.kpxe')?.source).toBe('depot')
  })

  it('lists all names that have a file, the depot’s own names too', () => {
    put(depot, 'ipxe/x86_64-efi/snponly.efi', efi(0x8664))
    put(depot, 'ipxe/special.kpxe')
    put(distribution, 'undionly.kpxe')
    expect(
      create()
        .list()
        .map(({ name }) => name),
    ).toEqual(['gpxe.kpxe', 'snponly.efi', 'special.kpxe', 'undionly.kpxe', 'x86_64-efi/snponly.efi'])
  })

  it('answers 20,000 random names without an error and without growing', () => {
    const random = seededRandom(3)
    const library = create()
    for (let round = 0; round < 20_000; round++) {
      const name = Array.from({ length: Math.floor(random() * 20) }, () => String.fromCharCode(Math.floor(random() * 128))).join('')
      expect(library.find(name)).toBeUndefined()
    }
  })
})
