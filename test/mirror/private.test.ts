import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readIndex } from '../../src/apk/index-file.ts'
import { readPackage } from '../../src/apk/package.ts'
import { verifySigned } from '../../src/apk/signature.ts'
import { readTrustedKeys } from '../../src/mirror/key.ts'
import { listPlaces } from '../../src/mirror/place.ts'
import { addPackages, removePackages, writePrivateIndex } from '../../src/mirror/private.ts'
import { createSiteKey, listSiteKeys, openSiteKey } from '../../src/mirror/site-key.ts'
import { verifyPlaces } from '../../src/mirror/verify.ts'
import { makeApkKey, makePackage, type PackageOptions, trustKey } from '../support/apk.ts'
import { makeScratch } from '../support/scratch.ts'

const vendor = makeApkKey('vendor@bivouac-0003.rsa.pub')

async function makeSite() {
  const folder = await makeScratch()
  const [root, state] = [join(folder, 'apk'), join(folder, 'state')]
  await createSiteKey({ root, state }, 'site', 2048)
  trustKey(root, vendor)
  const key = await openSiteKey({ root, state })
  const keys = await readTrustedKeys(root)
  const lay = (options: PackageOptions): string => {
    const made = makePackage(options)
    const path = join(folder, `${options.arch ?? ''}${made.fileName}`)
    writeFileSync(path, made.bytes)
    return path
  }
  const common = { root, repository: 'site', key, now: () => 7 }
  const add = (files: string[], more: object = {}) => addPackages(files, { ...common, keys, archs: ['x86_64'], ...more })
  const index = (arch = 'x86_64') => readFileSync(join(root, 'private/site', arch, 'APKINDEX.tar.gz'))
  return { root, state, folder, key, keys, lay, add, index, common }
}

describe('the site’s key', () => {
  it('is a pair whose private half only its owner may read', async () => {
    const { root, state } = await makeSite()
    expect(statSync(join(state, 'keys/site.rsa')).mode & 0o777).toBe(0o600)
    expect(statSync(join(state, 'keys')).mode & 0o777).toBe(0o700)
    expect(readFileSync(join(root, 'keys/site.rsa.pub'), 'utf8')).toMatch(/^-----BEGIN PUBLIC KEY-----/)
    expect(await listSiteKeys({ root, state })).toMatchObject([{ name: 'site', bits: 2048, fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) }])
  })

  it('is never made anew, and refused when others can read it', async () => {
    const { root, state } = await makeSite()
    await expect(createSiteKey({ root, state }, 'site', 2048)).rejects.toMatchObject({ code: 'key-exists' })
    await expect(createSiteKey({ root, state }, '../x', 2048)).rejects.toMatchObject({ code: 'key-name' })
    await expect(openSiteKey({ root, state }, 'nobody')).rejects.toMatchObject({ code: 'key-missing' })
    await createSiteKey({ root, state }, 'second', 2048)
    await expect(openSiteKey({ root, state })).rejects.toMatchObject({ code: 'key-which' })
    chmodSync(join(state, 'keys/site.rsa'), 0o644)
    await expect(openSiteKey({ root, state }, 'site')).rejects.toMatchObject({ code: 'key-open' })
  })
})

describe('a private repository', () => {
  it('takes packages that a trusted key has signed as they are, and signs its index', async () => {
    const { root, lay, add, index, keys } = await makeSite()
    const path = lay({ name: 'kiosk', version: '1.2-r0', key: vendor })
    expect(await add([path])).toMatchObject([{ file: 'kiosk-1.2-r0.apk', signedBy: vendor.keyName, isResigned: false, isNew: true }])
    expect(Buffer.compare(readFileSync(path), readFileSync(join(root, 'private/site/x86_64/kiosk-1.2-r0.apk')))).toBe(0)
    expect(verifySigned(index(), keys).keyName).toBe('site.rsa.pub')
    expect(() => verifySigned(index(), new Map([[vendor.keyName, vendor.publicKey]]))).toThrow(/not among the trusted/)
    expect(await add([path])).toMatchObject([{ isNew: false }])
    expect((await verifyPlaces(root, await listPlaces(root), keys)).problems).toEqual([])
  })

  it('refuses what nobody trusted has signed, and signs it anew when told to', async () => {
    const { root, lay, add, keys, index } = await makeSite()
    const stranger = makeApkKey('stranger@bivouac-0004.rsa.pub')
    for (const [path, code] of [
      [lay({ name: 'plain' }), 'signature-missing'],
      [lay({ name: 'strange', key: stranger }), 'signature-untrusted'],
      [lay({ name: 'forged', key: { ...stranger, keyName: vendor.keyName } }), 'signature-bad'],
    ] as const) {
      await expect(add([path])).rejects.toMatchObject({ code, message: expect.stringContaining('--allow-untrusted') })
      expect(await add([path], { allowUntrusted: true })).toMatchObject([{ isResigned: true, signedBy: 'site.rsa.pub' }])
    }
    for (const name of readdirSync(join(root, 'private/site/x86_64')).filter((one) => one.endsWith('.apk')))
      expect((await readPackage([readFileSync(join(root, 'private/site/x86_64', name))], { keys })).signedBy).toBe('site.rsa.pub')
    expect(readIndex(index()).packages.map(({ name }) => name)).toEqual(['forged', 'plain', 'strange'])
    expect((await verifyPlaces(root, await listPlaces(root), keys)).problems).toEqual([])
  })

  it('takes nothing when one of several is bad, and nothing on a dry run', async () => {
    const { root, lay, add, folder } = await makeSite()
    const good = lay({ name: 'good', key: vendor })
    const bad = join(folder, 'bad.apk')
    writeFileSync(bad, readFileSync(good).subarray(0, -5))
    await expect(add([good, bad])).rejects.toMatchObject({ code: 'package-data', message: expect.stringContaining('bad.apk') })
    await expect(add([join(folder, 'nowhere.apk')])).rejects.toMatchObject({ code: 'file-missing' })
    await add([good], { dryRun: true })
    expect(readdirSync(root)).toEqual(['keys'])
  })

  it('never puts another package under a name that is taken', async () => {
    const { lay, add } = await makeSite()
    await add([lay({ name: 'kiosk', key: vendor })])
    await expect(add([lay({ name: 'kiosk', files: { x: 'changed' }, key: vendor })])).rejects.toMatchObject({
      code: 'package-exists',
      message: expect.stringContaining('-rN'),
    })
  })

  it('puts packages for every architecture where stations of each look', async () => {
    const { lay, add, index } = await makeSite()
    await add([lay({ name: 'theme', arch: 'noarch', key: vendor }), lay({ name: 'tool', arch: 'aarch64', key: vendor })], {
      archs: ['x86_64', 'aarch64'],
    })
    expect(readIndex(index()).packages.map(({ name, arch }) => `${name} ${arch}`)).toEqual(['theme x86_64'])
    expect(readIndex(index('aarch64')).packages.map(({ name, arch }) => `${name} ${arch}`)).toEqual(['theme aarch64', 'tool aarch64'])
  })

  it('gives packages up again, one version or all, and its index never names what is not there', async () => {
    const { root, lay, add, index, common, keys } = await makeSite()
    await add([
      lay({ name: 'kiosk', version: '1-r0', key: vendor }),
      lay({ name: 'kiosk', version: '2-r0', key: vendor }),
      lay({ name: 'other', key: vendor }),
    ])
    expect(await removePackages(['kiosk-1-r0'], { ...common, dryRun: true })).toEqual(['private/site/x86_64/kiosk-1-r0.apk'])
    await removePackages(['kiosk-1-r0'], common)
    expect(readIndex(index()).packages.map(({ name, version }) => `${name}-${version}`)).toEqual(['kiosk-2-r0', 'other-1.0-r0'])
    await removePackages(['kiosk'], common)
    await expect(removePackages(['kiosk'], common)).rejects.toMatchObject({ code: 'package-unknown' })
    expect(readdirSync(join(root, 'private/site/x86_64')).sort()).toEqual(['.contents.json', 'APKINDEX.tar.gz', 'other-1.0-r0.apk'])
    expect((await verifyPlaces(root, await listPlaces(root), keys)).problems).toEqual([])
  })

  it('a file that is not what its name says is named', async () => {
    const { root, lay, add, common } = await makeSite()
    await add([lay({ name: 'kiosk', key: vendor })])
    writeFileSync(join(root, 'private/site/x86_64/wrong-1-r0.apk'), makePackage({ name: 'right', key: vendor }).bytes)
    await expect(writePrivateIndex('private/site/x86_64', common)).rejects.toMatchObject({
      code: 'package-name',
      message: expect.stringContaining('right-1.0-r0.apk'),
    })
  })
})
