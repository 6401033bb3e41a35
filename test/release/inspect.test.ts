import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { inspectRelease } from '../../src/release/inspect.ts'
import { makeBootFiles, makeInitramfs } from '../support/release.ts'
import { makeScratch } from '../support/scratch.ts'
import { describeWith } from '../support/tool.ts'

const set = { vmlinuz: 'vmlinuz-lts', initramfs: 'initramfs-lts', modloop: 'modloop-lts' }

/** The boot files, with a modloop as Alpine makes it: xz-packed, modules of this kernel. */
async function makeFolder(kernel: string): Promise<string> {
  const scratch = await makeScratch()
  const modules = join(scratch, 'tree/modules', kernel, 'kernel')
  mkdirSync(modules, { recursive: true })
  mkdirSync(join(scratch, 'tree/modules/firmware'))
  for (const name of ['ext4.ko', 'e1000e.ko.gz', 'modules.txt']) writeFileSync(join(modules, name), name)
  for (const [name, bytes] of Object.entries(makeBootFiles('lts'))) if (name !== 'modloop-lts') writeFileSync(join(scratch, name), bytes)
  execFileSync('mksquashfs', [join(scratch, 'tree'), join(scratch, 'modloop-lts'), '-comp', 'xz', '-no-progress'], { stdio: 'ignore' })
  return scratch
}

describeWith(['mksquashfs', 'unsquashfs'], 'a real modloop', () => {
  it('is looked into: its kernel and how many modules it has', async () => {
    const { kernelVersion, agreed, modules, warnings } = await inspectRelease(await makeFolder('6.12.31-0-lts'), set)
    expect({ kernelVersion, agreed, modules, warnings }).toEqual({
      kernelVersion: '6.12.31-0-lts',
      agreed: { kernel: true, initramfs: true, modloop: true },
      modules: 2,
      warnings: [],
    })
  })

  it('of another kernel is refused', async () => {
    await expect(inspectRelease(await makeFolder('6.12.30-0-lts'), set)).rejects.toThrow(
      /modloop-lts is for 6\.12\.30-0-lts: they are of different kernels/,
    )
  })

  it('is not known without the tool, and that is said; so is an initramfs without network, CAs and keys', async () => {
    const folder = await makeFolder('6.12.30-0-lts')
    writeFileSync(join(folder, 'initramfs-lts'), makeInitramfs('6.12.31-0-lts', {}))
    const { agreed, warnings } = await inspectRelease(folder, set, '/nonexistent/unsquashfs')
    expect(agreed).toEqual({ kernel: true, initramfs: true, modloop: false })
    expect(warnings.map(({ code }) => code)).toEqual(['initramfs-no-keys', 'modloop-unread'])
  })
})
