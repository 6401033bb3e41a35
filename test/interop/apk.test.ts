// What we write as packages and indexes, read by programs that we did not write: openssl for the signatures, gzip and GNU tar for the streams.
// The other way round too: a package and an index made by them alone are read by us.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readIndex } from '../../src/apk/index-file.ts'
import { readPackage } from '../../src/apk/package.ts'
import { parsePublicKey, splitSigned, verifySigned } from '../../src/apk/signature.ts'
import { addPackages } from '../../src/mirror/private.ts'
import { createSiteKey, openSiteKey } from '../../src/mirror/site-key.ts'
import { makePackage } from '../support/apk.ts'
import { makeScratch } from '../support/scratch.ts'
import { describeWith } from '../support/tool.ts'

describeWith(['openssl', 'tar', 'gzip', 'sh'], 'apk formats beside openssl, gzip and tar', () => {
  const sh = (cwd: string, script: string): string => execFileSync('sh', ['-euc', script], { cwd, encoding: 'utf8' })

  it('openssl verifies the signatures of our index and of a package that we signed, tar reads both', async () => {
    const folder = await makeScratch()
    const [root, state] = [join(folder, 'apk'), join(folder, 'state')]
    await createSiteKey({ root, state }, 'site', 2048)
    const key = await openSiteKey({ root, state })
    const made = makePackage({ name: 'tool', depends: ['musl'] })
    writeFileSync(join(folder, 'tool.apk'), made.bytes)
    await addPackages([join(folder, 'tool.apk')], {
      root,
      repository: 'site',
      key,
      keys: new Map(),
      archs: ['x86_64'],
      allowUntrusted: true,
      now: () => 0,
    })
    const place = join(root, 'private/site/x86_64')
    for (const name of ['APKINDEX.tar.gz', 'tool-1.0-r0.apk']) {
      const bytes = readFileSync(join(place, name))
      const { signedFrom } = splitSigned(bytes)
      writeFileSync(join(folder, 'head.gz'), bytes.subarray(0, signedFrom))
      // Of a package the control stream is signed, of an index all that follows.
      writeFileSync(join(folder, 'signed'), name.endsWith('.apk') ? made.control : bytes.subarray(signedFrom))
      expect(sh(folder, 'gzip -dc head.gz | tar -xvf - 2>/dev/null').trim()).toBe('.SIGN.RSA.site.rsa.pub')
      expect(sh(folder, 'openssl dgst -sha1 -verify apk/keys/site.rsa.pub -signature .SIGN.RSA.site.rsa.pub signed').trim()).toBe('Verified OK')
    }
    expect(sh(place, 'tar -tzf APKINDEX.tar.gz').trim().split('\n')).toEqual(['.SIGN.RSA.site.rsa.pub', 'DESCRIPTION', 'APKINDEX'])
    expect(sh(place, 'tar -xzOf APKINDEX.tar.gz APKINDEX')).toContain(`C:${made.entry.checksum}\nP:tool\nV:1.0-r0\nA:x86_64\n`)
    expect(sh(place, 'tar -tzf tool-1.0-r0.apk').trim().split('\n').slice(0, 2)).toEqual(['.SIGN.RSA.site.rsa.pub', '.PKGINFO'])
    expect(sh(place, 'gzip -t tool-1.0-r0.apk APKINDEX.tar.gz && echo good').trim()).toBe('good')
  })

  it.each(['sha1', 'sha256'])('we read a package and an index that openssl, gzip and tar made (%s)', async (algorithm) => {
    const folder = await makeScratch()
    mkdirSync(join(folder, 'usr/bin'), { recursive: true })
    writeFileSync(join(folder, 'usr/bin/own'), 'own\n')
    const tag = algorithm === 'sha1' ? 'RSA' : 'RSA256'
    sh(
      folder,
      'openssl genrsa -out key.rsa 2048 2>/dev/null; openssl rsa -in key.rsa -pubout -out own.rsa.pub 2>/dev/null; tar --format=ustar -cf - usr | gzip -9n > data.gz',
    )
    const datahash = createHash('sha256')
      .update(readFileSync(join(folder, 'data.gz')))
      .digest('hex')
    writeFileSync(join(folder, '.PKGINFO'), `pkgname = own\npkgver = 1.0-r0\narch = x86_64\nsize = 4\ndatahash = ${datahash}\n`)
    // As abuild does it: the first two streams without the blocks that end an archive. One file each: its header and one block (the signature of 256 bytes, the few lines of .PKGINFO).
    sh(folder, 'tar --format=ustar -b1 -cf - .PKGINFO | head -c 1024 | gzip -9n > control.gz')
    sh(
      folder,
      `openssl dgst -${algorithm} -sign key.rsa -out .SIGN.${tag}.own.rsa.pub control.gz; tar --format=ustar -b1 -cf - .SIGN.${tag}.own.rsa.pub | head -c 1024 | gzip -9n > sign.gz`,
    )
    sh(folder, 'cat sign.gz control.gz data.gz > own-1.0-r0.apk')
    const keys = new Map([['own.rsa.pub', parsePublicKey('own.rsa.pub', readFileSync(join(folder, 'own.rsa.pub')))]])
    const read = await readPackage([readFileSync(join(folder, 'own-1.0-r0.apk'))], { keys })
    expect(read).toMatchObject({ signedBy: 'own.rsa.pub', entry: { name: 'own', version: '1.0-r0', arch: 'x86_64' } })

    writeFileSync(join(folder, 'DESCRIPTION'), 'own')
    writeFileSync(join(folder, 'APKINDEX'), `C:${read.entry.checksum}\nP:own\nV:1.0-r0\nA:x86_64\nS:${read.entry.sizeBytes}\nI:4\n\n`)
    sh(folder, 'tar --format=ustar -cf - DESCRIPTION APKINDEX | gzip -9n > index.gz')
    sh(
      folder,
      `openssl dgst -${algorithm} -sign key.rsa -out .SIGN.${tag}.own.rsa.pub index.gz; tar --format=ustar -b1 -cf - .SIGN.${tag}.own.rsa.pub | head -c 1024 | gzip -9n > sign.gz`,
    )
    sh(folder, 'cat sign.gz index.gz > APKINDEX.tar.gz')
    const bytes = readFileSync(join(folder, 'APKINDEX.tar.gz'))
    expect(verifySigned(bytes, keys).keyName).toBe('own.rsa.pub')
    expect(readIndex(bytes).packages).toMatchObject([{ name: 'own', checksum: read.entry.checksum }])
  })
})
