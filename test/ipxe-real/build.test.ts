// iPXE itself: built, booted, trusted and refused. Runs when IPXE_SRC names a checkout (or a git repository, with IPXE_REVISION): it takes
// some minutes and iPXE's source is not ours to keep. IPXE_STATE may name a folder that keeps built trees between runs.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/ipxe/artifact.ts'
import { renderTemplate } from '../../src/ipxe/input.ts'
import { patchArtifact } from '../../src/ipxe/patch.ts'
import { readRecipe } from '../../src/ipxe/recipe-file.ts'
import { type IpxeTools, openIpxeTools } from '../../src/ipxe/tools.ts'
import { missingTools } from '../support/tool.ts'
import { type Answers, bootLoader, firmware, hasArmFirmware, startAnswers, type Way } from './machine.ts'

const given = process.env.IPXE_SRC
const minutes = 60_000
const recipes = resolve(import.meta.dirname, '../../ipxe')
const ways = ['bios', 'uefi', 'uefi-i386', 'bios-stick', 'uefi-stick', 'arm64', 'bios-cd', 'uefi-cd', 'bios-disk', 'floppy', 'rom', 'kernel'] as const
const macOf = Object.fromEntries(ways.map((way, index) => [way, `52:54:00:00:0b:${String(index + 1).padStart(2, '0')}`])) as Record<Way, string>
const say = (line: string): void => void process.stdout.write(`    ${line}\n`)

describe.skipIf(given === undefined)(given === undefined ? 'iPXE itself (SKIPPED: set IPXE_SRC to a checkout of iPXE)' : 'iPXE itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bivouac-real-'))
  let tools: IpxeTools
  let answers: Answers

  const open = (name: string): Promise<IpxeTools> =>
    openIpxeTools({
      depot: join(folder, name, 'depot'),
      state: process.env.IPXE_STATE && name === 'one' ? process.env.IPXE_STATE : join(folder, name, 'state'),
      recipesFolder: recipes,
      site: { base: `http://10.0.2.2:${answers.port}` },
      now: Date.now,
    })
  const addSource = (to: IpxeTools) =>
    to.sources.add({ from: given ?? '', name: 'checkout', ...(process.env.IPXE_REVISION ? { revision: process.env.IPXE_REVISION } : {}) })
  const build = async (name: string, over: Record<string, unknown> = {}, on = tools): Promise<Manifest> => {
    const startedAt = Date.now()
    const { id } = on.builds.start(await readRecipe(recipes, name, { source: 'checkout', ...over }))
    const manifest = await on.builds.wait(id)
    say(`${name}: ${manifest.sizeBytes} bytes, ${((Date.now() - startedAt) / 1000).toFixed(1)} s${on.builds.find(id).wasKnown ? ' (was there)' : ''}`)
    return manifest
  }
  /** Boots the artifact and waits until its station fetched its script and came back. */
  const seeUp = (way: Way, manifest: Manifest, from = answers): Promise<void> => seeFileUp(way, tools.artifacts.pathOf(manifest), from)
  const seeFileUp = async (way: Way, path: string, from = answers): Promise<void> => {
    const own = join(folder, way)
    mkdirSync(own, { recursive: true })
    const file = basename(path)
    copyFileSync(path, join(own, file))
    const before = from.requests.length
    const startedAt = Date.now()
    const station = bootLoader(way, own, file, macOf[way])
    try {
      await station.waitFor(/STATION-UP/, 2 * minutes)
      await expect.poll(() => from.requests.slice(before).some((url) => url.startsWith('/up/')), { timeout: 20_000 }).toBe(true)
      expect(from.requests[before]).toContain(`/boot/${macOf[way].replaceAll(':', '-')}.ipxe?`)
      say(`${file} by ${way}: up after ${((Date.now() - startedAt) / 1000).toFixed(1)} s`)
    } finally {
      await station.stop()
    }
  }

  beforeAll(async () => {
    answers = await startAnswers()
    tools = await open('one')
    await addSource(tools)
  }, 5 * minutes)
  afterAll(async () => {
    await tools?.close()
    await answers?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('undionly.kpxe is built, asks for its URL, and a second time costs nothing', { timeout: 15 * minutes }, async () => {
    const manifest = await build('undionly')
    const again = Date.now()
    expect((await build('undionly')).sha256).toBe(manifest.sha256)
    expect(Date.now() - again).toBeLessThan(10_000)
    expect(manifest).toMatchObject({
      announce: ['undionly.kpxe', 'gpxe.kpxe'],
      script: { text: expect.stringContaining(`http://10.0.2.2:${answers.port}`) },
    })
    await seeUp('bios', manifest)
  })

  it('another script takes seconds, not a minute', { timeout: 5 * minutes }, async () => {
    const startedAt = Date.now()
    await build('undionly', { script: { text: '#!ipxe\nshell\n' } })
    expect(Date.now() - startedAt).toBeLessThan(45_000)
  })

  it('snponly.efi is built and asks for its URL', { timeout: 15 * minutes }, async () => {
    await seeUp('uefi', await build('snponly-x86_64'))
  })

  it('the stick boots BIOS and UEFI machines', { timeout: 15 * minutes }, async () => {
    const stick = await build('usb')
    await seeUp('bios-stick', stick)
    await seeUp('uefi-stick', stick)
  })

  it('the stick is a disk image too, and the CD boots BIOS and UEFI machines', { timeout: 15 * minutes }, async () => {
    await seeUp('bios-disk', await build('usb'))
    const cd = await build('cd')
    await seeUp('bios-cd', cd)
    await seeUp('uefi-cd', cd)
  })

  it.each<[string, Way | undefined, string[]]>([
    ['bin/undionly.kkpxe', 'bios', []],
    ['bin/ipxe.pxe', 'bios', []],
    ['bin/ipxe.lkrn', 'kernel', []],
    ['bin/ipxe.pdsk', 'floppy', []],
    ['bin/8086100e.rom', 'rom', []],
    ['bin/8086100e.mrom', 'rom', []],
    ['bin/ipxe.iso', 'bios-cd', ['xorriso', '/usr/lib/ISOLINUX/isolinux.bin']],
    ['bin-x86_64-efi/ipxe.iso', 'uefi-cd', ['xorriso', 'mtools']],
    ['bin-x86_64-efi/snp.efi', 'uefi', []],
    ['bin-x86_64-efi/ipxe.efi', 'uefi', []],
    ['bin-x86_64-efi/8086100e.efirom', undefined, []],
    ['bin-i386-efi/snponly.efi', existsSync(firmware.i386Code) ? 'uefi-i386' : undefined, []],
  ])('%s is built, and asks for its URL where QEMU can boot it (%s)', { timeout: 15 * minutes }, async (target, way, tools) => {
    const lacking = missingTools(...tools)
    if (lacking.length > 0) return say(`${target}: NOT BUILT, missing ${lacking.join(' ')}`)
    const manifest = await build('fleet', { target })
    expect(manifest).toMatchObject({ target, sizeBytes: expect.any(Number) })
    if (way) await seeUp(way, manifest)
  })

  it('the .hd is a partition: behind a boot sector it boots', { timeout: 15 * minutes }, async () => {
    const [hd, usb] = [await build('fleet', { target: 'bin/ipxe.hd' }), await build('fleet', { target: 'bin/ipxe.usb' })]
    const path = join(folder, 'disk.img')
    writeFileSync(path, Buffer.concat([await tools.artifacts.read(usb, 'bootSector'), await tools.artifacts.read(hd)]))
    await seeFileUp('bios-disk', path)
  })

  it.each<[string, Way]>([
    ['undionly', 'bios'],
    ['snponly-x86_64', 'uefi'],
  ])('%s, patched without a compiler, asks for the new URL', { timeout: 15 * minutes }, async (name, way) => {
    const other = await startAnswers()
    try {
      const base = await build(name)
      const script = await renderTemplate(recipes, 'boot', { base: `http://10.0.2.2:${other.port}` })
      const startedAt = performance.now()
      const patched = await patchArtifact(tools.artifacts, base, { script }, Date.now)
      say(`${base.file} patched: ${(performance.now() - startedAt).toFixed(0)} ms, ${patched.sizeBytes} bytes (built: ${base.sizeBytes})`)
      const before = answers.requests.length
      await seeUp(way, patched, other)
      expect(answers.requests.length).toBe(before)
    } finally {
      await other.stop()
    }
  })

  it.each<[string, Way]>([
    ['snponly-x86_64', 'uefi'],
    ['undionly', 'bios'],
  ])(
    '%s trusts the CA that it was given over HTTPS, refuses another, and can be given that one later',
    { timeout: 20 * minutes },
    async (name, way) => {
      const [good, bad] = [makeAuthority(folder, 'good'), makeAuthority(folder, 'bad')]
      const [trusted, foreign] = [await startAnswers(good), await startAnswers(bad)]
      try {
        const manifest = await build(name, {
          trust: [good.authority],
          slot: { scriptBytes: 8192, authorities: 2 },
          script: { template: 'boot', values: { base: `https://10.0.2.2:${trusted.port}` } },
        })
        await seeUp(way, manifest, trusted)
        const script = await renderTemplate(recipes, 'boot', { base: `https://10.0.2.2:${foreign.port}` })
        await seeRefused(way, await patchArtifact(tools.artifacts, manifest, { script }, Date.now), foreign)
        await seeUp(way, await patchArtifact(tools.artifacts, manifest, { script, trust: [bad.authority] }, Date.now), foreign)
      } finally {
        await Promise.all([trusted.stop(), foreign.stop()])
      }
    },
  )

  it.each<[string, Way]>([
    ['undionly', 'bios'],
    ['snponly-x86_64', 'uefi'],
  ])('%s shows its client certificate to a server that asks for one, and without it is refused', { timeout: 20 * minutes }, async (name, way) => {
    const [own, client] = [makeAuthority(folder, 'own'), makeAuthority(folder, 'client')]
    const strict = await startAnswers({ ...own, ca: client.authority, requestCert: true })
    try {
      const over = { trust: [own.authority], script: { template: 'boot', values: { base: `https://10.0.2.2:${strict.port}` } } }
      await seeRefused(
        way,
        await build(name, over),
        strict,
        /Permission denied|Operation not permitted|Connection reset|\(https?:\/\/ipxe\.org\/[0-9a-f]{8}\)/,
      )
      const manifest = await build(name, { ...over, certificates: [client.cert], key: client.key })
      expect(manifest).toMatchObject({ hasKey: true, certificates: [{ subject: 'CN=10.0.2.2' }, { subject: 'CN=client camp CA' }] })
      await seeUp(way, manifest, strict)
    } finally {
      await strict.stop()
    }
  })

  const seeRefused = async (way: Way, manifest: Manifest, from: Answers, words = /Permission denied|0216eb8f/): Promise<void> => {
    const own = join(folder, `${way}-refused`)
    mkdirSync(own, { recursive: true })
    copyFileSync(tools.artifacts.pathOf(manifest), join(own, manifest.file))
    const station = bootLoader(way, own, manifest.file, macOf[way])
    try {
      await station.waitFor(words, 2 * minutes)
      expect(from.requests).toEqual([])
    } finally {
      await station.stop()
    }
  }

  it('two clean builds give the same bytes', { timeout: 30 * minutes }, async () => {
    const other = await open('two')
    try {
      await addSource(other)
      for (const name of ['undionly', 'snponly-x86_64']) {
        const [one, two] = [await build(name), await build(name, {}, other)]
        expect(two.fingerprint).toBe(one.fingerprint)
        expect(Buffer.compare(readFileSync(other.artifacts.pathOf(two)), readFileSync(tools.artifacts.pathOf(one)))).toBe(0)
      }
    } finally {
      await other.close()
    }
  })

  const missing = [...missingTools('aarch64-linux-gnu-gcc', 'qemu-system-aarch64'), ...(hasArmFirmware() ? [] : ['qemu-efi-aarch64'])]
  it.skipIf(missing.length > 0)(
    `arm64 by the cross compiler asks for its URL${missing.length > 0 ? ` (SKIPPED: missing ${missing.join(', ')})` : ''}`,
    { timeout: 15 * minutes },
    async () => {
      await seeUp('arm64', await build('snponly-arm64'))
    },
  )
})

/** A CA and a certificate of it for 10.0.2.2. iPXE wants the whole chain from the server, the root too. */
function makeAuthority(folder: string, name: string): { authority: string; key: string; cert: string } {
  const path = (ending: string): string => join(folder, `${name}-${ending}`)
  const openssl = (...words: string[]): Buffer => execFileSync('openssl', words, { stdio: 'pipe' })
  writeFileSync(path('ext'), 'subjectAltName=IP:10.0.2.2\nbasicConstraints=CA:FALSE\n')
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.pem'),
    '-days',
    '3',
    '-subj',
    `/CN=${name} camp CA`,
  )
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', path('key'), '-out', path('csr'), '-subj', '/CN=10.0.2.2')
  openssl(
    'x509',
    '-req',
    '-in',
    path('csr'),
    '-CA',
    path('ca.pem'),
    '-CAkey',
    path('ca.key'),
    '-CAcreateserial',
    '-out',
    path('pem'),
    '-days',
    '3',
    '-extfile',
    path('ext'),
  )
  const authority = readFileSync(path('ca.pem'), 'utf8')
  return { authority, key: readFileSync(path('key'), 'utf8'), cert: readFileSync(path('pem'), 'utf8') + authority }
}
