// `bivouac packages serve` as a process.
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { key } from '../mirror/pull-rig.ts'
import { makePackage, trustKey, writeRepository } from '../support/apk.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

let folder: CliFolder
beforeEach(() => {
  folder = createCliFolder()
})
afterEach(() => folder.remove())

it('serves a mirror and nothing else, without depot, DHCP or TFTP', async () => {
  const one = makePackage({ name: 'one', key })
  const root = join(folder.path, 'mirror')
  mkdirSync(root)
  trustKey(root, key)
  writeRepository(root, 'v3.22/main/x86_64', [one], key)
  const { output } = folder.start('--json', 'packages', 'serve', '--packages.root', root, '--packages.address', '127.0.0.1', '--packages.port', '0')
  await expect.poll(output, { timeout: 15_000 }).toMatch(/"log"/)
  const { url, upstream, log } = JSON.parse(output().slice(0, output().indexOf('}') + 1))
  expect(upstream).toBeNull()
  const answer = await fetch(`${url}/v3.22/main/x86_64/${one.fileName}`)
  expect(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(one.bytes))).toBe(true)
  expect((await fetch(`${url}/api/v1/status`)).status).toBe(404)
  await expect.poll(output).toMatch(/"kind":"package"/)
  await expect.poll(() => readFileSync(log, 'utf8')).toMatch(/"status":404/)
})

it('tells what it would do', () => {
  const { code, stdout } = folder.run(
    'packages',
    'serve',
    '--dry-run',
    '--packages.root',
    'mirror',
    '--mirror.upstream',
    'https://mirror.example/alpine',
  )
  expect(code).toBe(0)
  expect(stdout).toMatch(/upstream {2}https:\/\/mirror\.example\/alpine/)
  expect(stdout).toMatch(/packages: \{ url: "http:\/\/[0-9.]+:8080" \}/)
  expect(folder.run('packages', '--help').stdout).toMatch(/Examples:/)
})
