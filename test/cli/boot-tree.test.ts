// The tree of an old boot server in the depot: by TFTP and HTTP, its files as they lie.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type CliFolder, createCliFolder } from '../support/cli.ts'
import { fetchByTftp } from '../support/tftp-client.ts'

let folder: CliFolder
beforeEach(() => {
  folder = createCliFolder()
})
afterEach(() => folder.remove())

const tree: Record<string, string> = {
  'pxelinux.0': 'loader',
  'ldlinux.c32': 'its other half',
  'pxelinux.cfg/default': 'DEFAULT local\nLABEL local\n  LOCALBOOT 0\n',
  'pxelinux.cfg/911boot':
    'DEFAULT 1\nLABEL 1\n  kernel vmlinuz-4\n  initrd initrd.gz\n  append root=none ip=dhcp fullroot=http://127.0.0.1/images\n  IPAPPEND 2\n',
  'vmlinuz-4': 'kernel',
  'initrd.gz': 'initramfs',
}
const images: Record<string, string> = { 'images/root.sqfs': 'system', 'images/Install': '#!/bin/sh\n', 'images/pubkey': 'ssh-ed25519 AAAA\n' }

it('gives each file by TFTP, and the images by HTTP', async () => {
  for (const [name, text] of Object.entries({ ...tree, ...images })) {
    mkdirSync(join(folder.path, 'depot', name, '..'), { recursive: true })
    writeFileSync(join(folder.path, 'depot', name), text)
  }
  const { base } = await folder.serve()
  const { listening } = (await (await fetch(`${base}/api/v1/status`)).json()) as { listening: { service: string; port: number }[] }
  const port = listening.find(({ service }) => service === 'tftp')?.port ?? 0
  for (const [name, text] of Object.entries(tree)) {
    const { bytes } = await fetchByTftp({ address: '127.0.0.1', port }, { name }, 20_000)
    expect([name, Buffer.from(bytes).toString()]).toEqual([name, text])
  }
  for (const [name, text] of Object.entries(images)) expect([name, await (await fetch(`${base}/${name}`)).text()]).toEqual([name, text])
  expect((await fetch(`${base}/images/`)).status).toBe(404)
}, 60_000)
