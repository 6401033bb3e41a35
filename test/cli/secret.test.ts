// A station with a secret, against the whole server: its boot gets it, nobody else does, and a restart in between leaves nobody open.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

const mac = '52-54-00-12-34-56'
const release = 'releases/alpine/3.22.2/x86_64/lts'
let folder: CliFolder
beforeEach(() => {
  folder = createCliFolder()
  const files = {
    'stations/kiosk-1.yaml': `macs: [${mac}]\nprofile: kiosk\n`,
    'profiles/kiosk.yaml': 'kind: alpine\nlayers: [base]\n',
    'overlays/base/etc/wifi.conf.ejs': 'psk=<%= it.secret("wifi") %>\n',
    'secrets/wifi': 'correct horse\n',
    [`${release}/vmlinuz-lts`]: 'k',
    [`${release}/initramfs-lts`]: 'i',
    [`${release}/modloop-lts`]: 'm',
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder.path, 'depot', name)), { recursive: true })
    writeFileSync(join(folder.path, 'depot', name), text)
  }
})
afterEach(() => folder.remove())

const overlayUrl = async (base: string): Promise<string> => /apkovl=(\S+)/.exec(await (await fetch(`${base}/boot/${mac}.ipxe`)).text())?.[1] ?? 'none'
const get = async (url: string, init: RequestInit = {}): Promise<string> => {
  const response = await fetch(url, init)
  const body = Buffer.from(await response.arrayBuffer())
  if (response.status === 404) expect(body).toHaveLength(0)
  return response.status === 200 && body.length ? (gunzipSync(body).includes('correct horse') ? 'secret' : 'overlay') : String(response.status)
}

it('gives a secret overlay to its boot, once, also over a restart, and tells it nobody', async () => {
  const first = await folder.serve()
  const url = await overlayUrl(first.base)
  expect(url).toMatch(/\/t\/[A-Za-z0-9_-]{48}\/configs\//)
  expect(await get(`${first.base}/configs/${mac}.tar.gz`)).toBe('404')
  expect(await get(url.replace(mac, '52-54-00-ab-cd-ef'))).toBe('404')
  expect(await get(url, { method: 'HEAD' })).toBe('200')
  expect(await get(url, { headers: { range: 'bytes=0-99' } })).toBe('secret')
  expect(await get(url)).toBe('404')
  const pending = await overlayUrl(first.base)
  await first.stop()

  const second = await folder.serve()
  const moved = (old: string): string => second.base + new URL(old).pathname
  expect(await get(moved(url))).toBe('404')
  expect(await get(moved(pending))).toBe('secret')
  expect(await get(moved(pending))).toBe('404')
  expect(await get(`${second.base}/secrets/wifi`)).toBe('404')
  const refusals = folder.run('--server', second.base, 'events', '--kind', 'overlay-refused').stdout
  expect(refusals).toMatch(/ticket of a boot alone[\s\S]*used already/)
  expect(folder.run('--server', second.base, 'explain', 'kiosk-1').stdout).toMatch(/secret: given once for each boot/)
  await second.stop()
  const logs = [first.output(), second.output(), readFileSync(join(folder.path, 'state/events.jsonl'), 'utf8')].join('\n')
  for (const hidden of ['correct horse', ...[url, pending].map((one) => new URL(one).pathname.split('/')[2] ?? '?')])
    expect(logs).not.toContain(hidden)
  expect(readdirSync(join(folder.path, 'depot')).sort()).not.toContain('t')
}, 120_000)
