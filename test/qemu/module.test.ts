import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { collectModules, readDepends } from '../../src/qemu/module.ts'
import { isStaticProgram, runTool } from '../../src/qemu/tool.ts'
import { describeWith } from '../support/tool.ts'

const folder = mkdtempSync(join(tmpdir(), 'bvc-module-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const moduleBytes = (name: string, depends: string) => Buffer.from(`ELF…\0license=GPL\0depends=${depends}\0name=${name}\0`)
const put = (path: string, bytes: Uint8Array) => {
  mkdirSync(join(folder, 'kernel', path, '..'), { recursive: true })
  writeFileSync(join(folder, 'kernel', path), bytes)
}
put('drivers/net/virtio_net.ko', moduleBytes('virtio_net', 'net_failover'))
put('drivers/net/net_failover.ko.gz', gzipSync(moduleBytes('net_failover', 'failover')))
put('net/core/failover.ko.zst', zstdCompressSync(moduleBytes('failover', '')))
put('drivers/char/virtio-rng.ko', moduleBytes('virtio_rng', 'rng-core,virtio_net'))
writeFileSync(join(folder, 'modules.builtin'), 'kernel/drivers/char/hw_random/rng-core.ko\n')

describe('collectModules', () => {
  it('puts each module after those that it needs, unpacked, whatever its spelling', async () => {
    const { modules, missing } = await collectModules(folder, ['virtio-net', 'virtio_rng', 'virtio_net'])
    expect(modules.map(({ name }) => name)).toEqual(['failover', 'net_failover', 'virtio_net', 'virtio_rng'])
    expect(Buffer.from(modules[0]?.bytes ?? []).toString()).toContain('name=failover')
    expect(missing).toEqual([])
  })

  it('tells what is neither there nor built in', async () => {
    expect((await collectModules(folder, ['e1000', 'rng_core'])).missing).toEqual(['e1000'])
    expect(await collectModules(join(folder, 'nothing'), ['loop'])).toEqual({ modules: [], missing: ['loop'] })
  })

  it.each([
    ['\0depends=a-b,c\0x', ['a_b', 'c']],
    ['\0depends=\0', []],
    ['nothing', []],
  ])('reads %j', (text, names) => {
    expect(readDepends(Buffer.from(text))).toEqual(names)
  })
})

describeWith(['xz'], 'modules packed by xz', () => {
  it('are unpacked', async () => {
    const plain = join(folder, 'loop.ko')
    writeFileSync(plain, moduleBytes('loop', ''))
    put('drivers/block/loop.ko.xz', await runTool(['xz', '-c', plain]))
    const { modules } = await collectModules(folder, ['loop'])
    expect(Buffer.from(modules[0]?.bytes ?? []).toString()).toContain('name=loop')
  })
})

describe('tools of the host', () => {
  it('tells a program without libraries from others', () => {
    expect(isStaticProgram('/nowhere')).toBe(false)
    expect(isStaticProgram(import.meta.filename)).toBe(false)
  })

  it('gives the last line of a complaint', async () => {
    await expect(runTool(['sh', '-c', 'echo first >&2; echo second >&2; exit 3'])).rejects.toMatchObject({
      code: 'tool-failed',
      message: 'sh -c: second',
    })
  })
})
