// The whole server with its mirror: one listener, two listeners, and an upstream that goes away.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { type Server, startServer } from '../../src/server.ts'
import { eventually, folder, indexPath, key } from '../mirror/pull-rig.ts'
import { makePackage, makeRepository, trustKey } from '../support/apk.ts'
import { makeScratch } from '../support/scratch.ts'
import { startTestUpstream, type TestUpstream } from '../support/upstream.ts'

const one = makePackage({ name: 'one', key })
const station = '52:54:00:12:34:56'
const profile = 'kind: alpine\noverlay: none\nrepositories: [apk/v3.22/main, https://mirror.example/alpine/v3.22/community]\n'

async function makeSite(flags: Record<string, string> = {}): Promise<{ server: Server; upstream: TestUpstream; base: string; second: string }> {
  const scratch = await makeScratch()
  const write = (path: string, text: string): void => {
    mkdirSync(join(scratch, 'depot', path, '..'), { recursive: true })
    writeFileSync(join(scratch, 'depot', path), text)
  }
  for (const part of ['vmlinuz', 'initramfs', 'modloop']) write(`releases/alpine/3.22.2/x86_64/lts/${part}-lts`, part)
  write('profiles/bare-mirror.yaml', profile)
  write('stations/kiosk.yaml', `mac: ${station}\nprofile: bare-mirror\n`)
  write('configs/secret.tar.gz', 'secret')
  trustKey(join(scratch, 'depot/apk'), key)
  const upstream = await startTestUpstream()
  for (const [name, bytes] of makeRepository([one], key)) upstream.put(`${folder}/${name}`, bytes)
  const all = {
    'http.address': '127.0.0.1',
    'http.port': '0',
    'packages.address': '127.0.0.1',
    'tftp.enabled': 'false',
    'mirror.upstream': upstream.url,
    ...flags,
  }
  const { config } = loadConfig({ flags: { depot: join(scratch, 'depot'), state: join(scratch, 'state'), ...all }, env: {}, cwd: scratch })
  const server = await startServer(config, '0.0.0', (error) => {
    throw error
  })
  onTestFinished(() => server.stop())
  const url = (service: string): string => `http://127.0.0.1:${server.listening.find((socket) => socket.service === service)?.port}`
  return { server, upstream, base: url('http'), second: url('packages') }
}

const get = async (url: string): Promise<{ status: number; text: string }> => {
  const answer = await fetch(url)
  return { status: answer.status, text: await answer.text() }
}

it('one server: packages behind apk/, told as the station’s steps, and what the mirror did', async () => {
  const { server, upstream, base } = await makeSite()
  const kinds: string[] = []
  server.listen(({ kind, mac }) => kinds.push(`${kind} ${mac ?? ''}`.trim()))
  const { text } = await get(`${base}/boot/52-54-00-12-34-56.ipxe`)
  expect(text).toContain(`alpine_repo=${base}/apk/v3.22/main,https://mirror.example/alpine/v3.22/community`)
  expect((await get(`${base}/apk/${indexPath}`)).status).toBe(200)
  for (let round = 0; round < 2; round++) expect((await get(`${base}/apk/${folder}/${one.fileName}`)).status).toBe(200)
  expect(upstream.hits()).toBe(2)
  await eventually(() => kinds).toEqual([`script ${station}`, `index ${station}`, `package ${station}`, `package ${station}`])
  const describe = async () => JSON.parse((await get(`${base}/api/v1/mirror`)).text)
  await eventually(describe).toMatchObject({ upstream: upstream.url, pull: { isReachable: true, misses: 1, keptFiles: 1, failures: 0, running: 0 } })
  const mirror = await describe()
  // The second came from the folder, or from the first that was just being kept.
  expect(mirror.pull.hits + mirror.pull.joined).toBe(1)
  expect(mirror.pull.indexes).toEqual([{ path: indexPath, ageSeconds: 0, packages: 1 }])
})

it('two servers: each with its own root, and the station is sent to the second', async () => {
  const { server, base, second } = await makeSite({ 'packages.port': '0' })
  const kinds: string[] = []
  server.listen(({ kind, mac }) => kinds.push(`${kind} ${mac ?? ''}`.trim()))
  const { text } = await get(`${base}/boot/52-54-00-12-34-56.ipxe`)
  expect(text).toContain(`alpine_repo=${second}/v3.22/main,https://mirror.example/alpine/v3.22/community`)
  expect((await get(`${second}/${indexPath}`)).status).toBe(200)
  expect((await get(`${second}/${folder}/${one.fileName}`)).text.length).toBeGreaterThan(0)
  for (const path of ['configs/secret.tar.gz', 'boot.ipxe', 'boot/52-54-00-12-34-56.ipxe', 'api/v1/status', `apk/${indexPath}`])
    expect([path, (await get(`${second}/${path}`)).status]).toEqual([path, 404])
  await eventually(() => kinds).toContain(`package ${station}`)
  const status = JSON.parse((await get(`${base}/api/v1/status`)).text)
  expect(status.listening.map(({ service }: { service: string }) => service)).toEqual(['packages', 'http'])
})

it('somebody else’s mirror is only a URL', async () => {
  const { base } = await makeSite({ 'packages.url': 'http://decos.lan:8081/alpine' })
  expect((await get(`${base}/boot/52-54-00-12-34-56.ipxe`)).text).toContain('alpine_repo=http://decos.lan:8081/alpine/v3.22/main,')
})

it('stations boot on when the upstream has gone', async () => {
  const { upstream, base } = await makeSite()
  await get(`${base}/apk/${indexPath}`)
  await get(`${base}/apk/${folder}/${one.fileName}`)
  await upstream.close()
  expect((await get(`${base}/apk/${folder}/${one.fileName}`)).status).toBe(200)
  expect((await get(`${base}/apk/${folder}/two-1.0-r0.apk`)).status).toBe(503)
})
