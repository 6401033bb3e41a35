import { describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { callFrom, createRig, macA, macB, makeContent, startedAt } from './rig.ts'

const here = callFrom('127.0.0.1', { host: 'localhost:8080' })
const there = callFrom('10.9.0.50', { host: '10.9.0.1:8080' })
const step = (kind: BootEvent['kind'], at: number, mac = macA): BootEvent => ({ at: startedAt + at, kind, mac })

function rigWith(events: readonly BootEvent[], more = {}) {
  const rig = createRig({ stations: [{ name: 'kiosk', macs: [macA] }], ...more })
  for (const event of events) rig.events.append(event)
  return rig
}

describe('the page', () => {
  it('lists the stations and how far they are', async () => {
    const { app } = rigWith([step('script', 0), step('kernel', 1), step('up', 2, macB)])
    const response = await app.request('/', {}, here)
    const text = await response.text()
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(text).toMatch(/<tr class="booting"><th scope="row">kiosk<\/th><td>52:54:00:00:00:0a<\/td>.*kernel, next initramfs/)
    expect(text).toMatch(/<th scope="row">no record<\/th><td>52:54:00:00:00:0b<\/td>/)
    expect(text).toContain('<li>no loader</li>')
  })

  it('marks a step that was passed over', async () => {
    const { app } = rigWith([step('script', 0), step('initramfs', 1)])
    expect(await (await app.request('/?part=stations', {}, here)).text()).toMatch(/^<tr class="missing">.*initramfs, but kernel never came/)
  })

  it('says so when nobody was there', async () => {
    const { app } = createRig()
    expect(await (await app.request('/?part=stations', {}, here)).text()).toContain('Nobody has been here yet')
  })

  it('escapes what it shows', async () => {
    const status = () => ({ version: '<b>', startedAt, listening: [], problems: [{ message: '<script>alert("1")</script>' }] })
    const text = await (await rigWith([], { deps: { status } }).app.request('/', {}, here)).text()
    expect(text).not.toContain('<script>alert')
    expect(text).toContain('&lt;script&gt;alert(&quot;1&quot;)')
    expect(text).toContain('Version &lt;b&gt;,')
  })

  it('lets a browser run nothing but its own files', async () => {
    const { app } = createRig()
    const page = await app.request('/', {}, here)
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'self'; script-src 'self';/)
    const text = await page.text()
    expect(text).not.toMatch(/ on[a-z]+=|style=|<script(?! type="module" src="\/assets\/)/)
    for (const [, path = ''] of text.matchAll(/(?:src|href)="([^"]+)"/g)) {
      const asset = await app.request(path, {}, there)
      expect([path, asset.status, asset.headers.get('x-content-type-options')]).toEqual([path, 200, 'nosniff'])
      expect(asset.headers.get('content-type')).toMatch(path.endsWith('.css') ? /^text\/css/ : /^text\/javascript/)
    }
  })

  it('is for those who may read, and tells others how', async () => {
    const { app } = rigWith([step('script', 0)])
    for (const path of ['/', '/?part=stations']) {
      const response = await app.request(path, {}, there)
      const text = await response.text()
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="bivouac"'])
      expect(text).toContain('ssh -L')
      expect(text).not.toContain(macA)
    }
  })

  it('does not let a page of the depot act for its reader', async () => {
    const files = { 'docs.html': () => makeContent(new TextEncoder().encode('<script>'), { type: 'text/html', modifiedAt: startedAt }) }
    const { app } = createRig({ files })
    expect((await app.request('/docs.html')).headers.get('content-security-policy')).toBe('sandbox')
  })
})
