// A disk that really runs full in the middle of a sync: a tmpfs of a few hundred kilobytes.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { needTrustedKeys } from '../../src/mirror/key.ts'
import { listPlaces } from '../../src/mirror/place.ts'
import { syncPart } from '../../src/mirror/sync.ts'
import { verifyPlaces } from '../../src/mirror/verify.ts'
import { key, main, mainPackages, makeRig, publish, whole } from '../mirror/rig.ts'
import { trustKey } from '../support/apk.ts'
import { makeScratch } from '../support/scratch.ts'
import { describeWith } from '../support/tool.ts'

const freeBytes = (folder: string): number => statfsSync(folder).bavail * statfsSync(folder).bsize

describeWith(['root', 'mount', 'umount'], 'a full disk', () => {
  it('ends a sync with a clear error, and the old state stands; with room again it goes on', async () => {
    const rig = await makeRig()
    const root = join(await makeScratch(), 'small')
    mkdirSync(root)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'none', root])
    onTestFinished(() => void execFileSync('umount', [root]))
    trustKey(root, key)
    // The look at the free room is passed by, as when somebody else fills the disk meanwhile.
    const options = { ...rig.options, root, freeBytes: async () => Number.POSITIVE_INFINITY }
    const sound = async (): Promise<void> =>
      void expect((await verifyPlaces(root, await listPlaces(root), await needTrustedKeys(root))).problems).toEqual([])
    await syncPart(whole, options)
    await sound()
    const before = readdirSync(join(root, main)).sort()
    writeFileSync(join(root, 'filler'), new Uint8Array(freeBytes(root) - 40 * 1024))
    publish(rig.upstream, main, mainPackages('2.0-r0'))
    await expect(syncPart(whole, options)).rejects.toMatchObject({ code: 'write-failed', message: expect.stringMatching(/ENOSPC|no space/i) })
    expect(rig.events.at(-1)).toMatchObject({ kind: 'mirror-failed' })
    expect(readdirSync(join(root, main)).sort()).toEqual(before)
    await sound()
    rmSync(join(root, 'filler'))
    await syncPart(whole, options)
    expect(readdirSync(join(root, main))).toContain('busybox-2.0-r0.apk')
    await sound()
  })
})
