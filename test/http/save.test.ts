// The way back: open for who may, closed for all others, and nothing that is cut or broken changes anything.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Mac } from '../../src/boot/address.ts'
import { openOverlays } from '../../src/overlay/open.ts'
import { createPhases } from '../../src/station/phase.ts'
import { createScripts } from '../../src/station/script.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createBase64Decoder } from '../../src/http/upload.ts'
import { goodOverlay } from '../support/overlay.ts'
import { seededRandom } from '../support/random.ts'
import { callFrom, createRig, macA, macB, startedAt, token as operatorToken } from './rig.ts'

const hour = 3_600_000
const home = '10.9.0.50'
let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bvc-save-'))
  mkdirSync(join(root, 'depot/configs'), { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function stage(maxBytes = 1024 * 1024) {
  const clock = { now: startedAt }
  const now = (): number => clock.now
  const [depot, state] = [join(root, 'depot'), join(root, 'state')]
  const { marks } = createMemoryStore()
  const overlays = openOverlays(
    { depot, state, packages: { root: join(depot, 'apk') }, overlays: { archive: 'last', report: true, keep: 5, saveMegabytes: 64 } },
    now,
  )
  const held = new Map<string, Mac>([[home, macA]])
  const phases = createPhases(marks, now)
  const saved: string[] = []
  const rig = createRig({
    stations: [{ name: 'kiosk', macs: [macA] }],
    deps: {
      now,
      save: {
        phases,
        accept: overlays.accept,
        scripts: createScripts({ depot, emit: () => {}, now }),
        findCaller: (peer) => held.get(peer),
        folder: join(state, 'uploads'),
        maxBytes,
        onSaved: (path) => void saved.push(path),
      },
      gate: { explain: async () => ({}) as never },
    },
  })
  const call = (method: string, path: string, body?: Uint8Array | string, headers: Record<string, string> = {}, from = home) =>
    rig.app.request(path, { method, headers, ...(body !== undefined && { body: body as string }) }, callFrom(from, headers))
  const place = join(depot, 'configs', `${macA.replaceAll(':', '-')}.tar.gz`)
  const inForce = (): string => (existsSync(place) ? sha(readFileSync(place)) : 'none')
  const drafts = (): string[] => (existsSync(join(state, 'uploads')) ? readdirSync(join(state, 'uploads')) : [])
  const kinds = () => rig.seen().map(({ kind }) => kind)
  return { ...rig, clock, phases, held, call, place, inForce, drafts, saved, kinds, marks }
}

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const lines = (bytes: Uint8Array): string =>
  (
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  ).join('\n')
const file = `${macA.replaceAll(':', '-')}.tar.gz`
const good = goodOverlay('saved')

describe('during a phase', () => {
  it.each([
    ['PUT', file, good],
    ['POST', file, good],
    ['POST', `${file}.b64`, lines(good)],
    ['PUT', `${file}.b64`, `${lines(good)}\n`],
    ['PUT', `${macA}.apkovl.tar.gz`, good],
  ])('%s %s is taken, and answered by its SHA-256', async (method, name, body) => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    const response = await made.call(method, `/save/${token}/${name}`, body)
    const text = await response.text()
    expect([response.status, text.split('\n')[0]]).toEqual([201, `sha256=${sha(good)}`])
    expect(text).toContain('the first overlay of this station')
    expect(made.inForce()).toBe(sha(good))
    expect(made.saved).toEqual([`configs/${file}`])
    expect(made.drafts()).toEqual([])
    expect(made.seen()).toMatchObject([{ kind: 'saved', mac: macA, ip: home, detail: { by: 'phase', digest: sha(good), version: 1 } }])
    expect(JSON.stringify(made.seen())).not.toContain(token)
  })

  it('tells what is different from before, also as JSON', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    await made.call('PUT', `/save/${token}/${file}`, good)
    const next = goodOverlay('saved-later')
    expect(await (await made.call('PUT', `/save/${token}/${file}`, next)).text()).toContain('~ etc/hostname')
    expect(await (await made.call('PUT', `/save/${token}/${file}`, next)).text()).toContain('the same as before')
    const json = await (await made.call('PUT', `/save/${token}/${file}`, good, { accept: 'application/json' })).json()
    expect(json).toMatchObject({ mac: macA, sha256: sha(good), path: `configs/${file}`, changes: '1 files, 0 packages, 0 services' })
  })

  it('gives the station its script, by its address and by the token', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    const byAddress = await made.call('GET', '/save')
    const script = await byAddress.text()
    expect([byAddress.status, script.split('\n')[0]]).toEqual([200, '#!/bin/sh'])
    const [, own = ''] = /\/save\/([A-Za-z0-9_-]{43})\//.exec(script) ?? []
    expect(own).not.toBe(token)
    expect((await made.call('PUT', `/save/${own}/${file}`, good)).status).toBe(201)
    const byToken = await made.call('GET', `/save/${token}`, undefined, {}, '10.9.0.99')
    expect(await byToken.text()).toContain(`path=/save/${token}/${file}`)
  })

  it('keeps tokens as hashes only, eight of them', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    expect(JSON.stringify(made.marks.entries(''))).not.toContain(token)
    for (let round = 0; round < 8; round++) await made.phases.renew(macA)
    expect(made.phases.verify(token)).toBeUndefined()
    expect(made.marks.entries('save/')).toHaveLength(1)
  })
})

describe('closed', () => {
  const refused = async (made: ReturnType<typeof stage>, answer: Response | Promise<Response>, reason: string, status = 403) => {
    const response = await answer
    const text = await response.text()
    expect([response.status, text]).toEqual([status, expect.stringContaining(reason)])
    expect(text).toMatch(/^echo '[^']*' >&2; exit 1\n$/)
    expect(made.inForce()).toBe('none')
    expect(made.drafts()).toEqual([])
  }

  it('is 403 before, after and without a phase, and nothing changes', async () => {
    const made = stage()
    await refused(made, made.call('GET', '/save'), `no configuration phase is open for ${macA}`)
    await refused(made, made.call('PUT', `/save/${'A'.repeat(43)}/${file}`, good), 'no configuration phase')
    const { token } = await made.phases.open('kiosk', [macA], hour)
    made.clock.now += hour
    await refused(made, made.call('PUT', `/save/${token}/${file}`, good), 'no configuration phase')
    await refused(made, made.call('GET', `/save/${token}`), 'no configuration phase')
    made.clock.now -= 2 * hour
    await refused(made, made.call('PUT', `/save/${token}/${file}`, good), 'no configuration phase')
    const again = await made.phases.open('kiosk', [macA], hour)
    expect(await made.phases.close([macA])).toHaveLength(1)
    await refused(made, made.call('PUT', `/save/${again.token}/${file}`, good), 'no configuration phase')
    expect(new Set(made.kinds())).toEqual(new Set(['save-refused']))
  })

  it('is 403 for another station: by the name, and by the address', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    await refused(made, made.call('PUT', `/save/${token}/${macB.replaceAll(':', '-')}.tar.gz`, good), `not for ${macB}`)
    made.held.set('10.9.0.66', macB)
    await refused(made, made.call('PUT', `/save/${token}/${file}`, good, {}, '10.9.0.66'), `is the address of ${macB}`)
    await refused(made, made.call('GET', '/save', undefined, {}, '10.9.0.66'), `no configuration phase is open for ${macB}`)
    await refused(made, made.call('GET', '/save', undefined, {}, '10.9.0.99'), 'not known by its address')
  })

  it('is 404 for a name that is no MAC', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    for (const name of ['default.tar.gz', 'x', `${macA}.tar`, '..%2f..%2fx.tar.gz']) {
      const response = await made.call('PUT', `/save/${token}/${name}`, good)
      expect([name, response.status]).toEqual([name, 404])
    }
  })

  it('is 429 for who tries on and on, for a while', async () => {
    const made = stage()
    const statuses: number[] = []
    for (let round = 0; round < 25; round++) statuses.push((await made.call('PUT', `/save/${'A'.repeat(43)}/${file}`, good)).status)
    expect(statuses.filter((status) => status === 429)).toHaveLength(5)
    made.clock.now += 3_000
    expect((await made.call('GET', '/save')).status).toBe(403)
  })
})

describe('what arrives badly', () => {
  const good2 = goodOverlay('before')
  const rows: [string, number, string, (whole: Uint8Array) => Uint8Array | string, Record<string, string>][] = [
    ['an overlay that is cut', 400, file, (whole) => whole.subarray(0, whole.length - 20), {}],
    ['three bytes, as busybox wget sends them', 400, file, (whole) => whole.subarray(0, 3), {}],
    ['nothing', 400, file, () => new Uint8Array(), {}],
    ['another length than was said', 400, file, (whole) => whole, { 'content-length': '99999' }],
    ['no gzip', 400, file, () => Buffer.from('x'.repeat(5000)), {}],
    ['base64 with other characters', 400, `${file}.b64`, () => 'QUJD!UJD', {}],
    ['base64 that is cut in a group', 400, `${file}.b64`, (whole) => lines(whole).slice(0, 101), {}],
    ['base64 with something behind its end', 400, `${file}.b64`, (whole) => `${Buffer.from(whole.subarray(0, 100)).toString('base64')}QUJD`, {}],
    ['more than may be', 413, file, () => new Uint8Array(1024 * 1024 + 1), {}],
    ['more than may be, by its own word', 413, file, (whole) => whole, { 'content-length': String(5 * 1024 * 1024) }],
    ['more than may be, as base64', 413, `${file}.b64`, () => 'QUJD'.repeat(400_000), {}],
  ]
  it.each(rows)('%s changes nothing: %i', async (_, status, name, make, headers) => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    await made.call('PUT', `/save/${token}/${file}`, good2)
    const response = await made.call('PUT', `/save/${token}/${name}`, make(good), headers)
    expect(response.status).toBe(status)
    expect(await response.text()).toMatch(/^echo 'Bivouac: [^']+' >&2; exit 1\n$/)
    expect(made.inForce()).toBe(sha(good2))
    expect(made.drafts()).toEqual([])
    expect(made.kinds()).toEqual(['saved', 'save-refused'])
  })

  it('from a connection that ends early changes nothing', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    let pulled = 0
    const body = new ReadableStream({
      pull: (controller) => {
        if (pulled++) controller.error(new Error('aborted'))
        else controller.enqueue(good.subarray(0, 100))
      },
    })
    const response = await made.app.request(`/save/${token}/${file}`, { method: 'PUT', body, duplex: 'half' } as RequestInit, callFrom(home))
    expect(response.status).toBe(400)
    expect([made.inForce(), made.drafts().length]).toEqual(['none', 0])
  })

  it('when the phase is closed under way is refused', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    const body = new ReadableStream({
      pull: async (controller) => {
        await made.phases.close([macA])
        controller.enqueue(good)
        controller.close()
      },
    })
    const response = await made.app.request(`/save/${token}/${file}`, { method: 'PUT', body, duplex: 'half' } as RequestInit, callFrom(home))
    expect([response.status, made.inForce()]).toEqual([403, 'none'])
  })
})

describe('PUT /configs/<mac>.tar.gz', () => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

  it('takes the token of a phase, or an operator’s for any station', async () => {
    const made = stage()
    const { token } = await made.phases.open('kiosk', [macA], hour)
    expect((await made.call('PUT', `/configs/${file}`, good, bearer(token))).status).toBe(201)
    const other = `${macB.replaceAll(':', '-')}.tar.gz`
    expect((await made.call('PUT', `/configs/${other}`, good, bearer(token))).status).toBe(403)
    expect((await made.call('PUT', `/configs/${other}`, good, bearer(operatorToken), '10.1.1.1')).status).toBe(201)
    expect(made.seen().map(({ kind, detail }) => `${kind} ${detail?.by ?? ''}`)).toEqual(['saved phase', 'save-refused ', 'saved operator'])
  })

  it('is 403 without a token and with a wrong one, also from this machine', async () => {
    const made = stage()
    await made.phases.open('kiosk', [macA], hour)
    for (const headers of [{}, bearer('A'.repeat(43)), bearer('bvc_wrong'), { authorization: 'Basic x' }] as Record<string, string>[])
      expect((await made.call('PUT', `/configs/${file}`, good, headers, '127.0.0.1')).status).toBe(403)
    expect(made.inForce()).toBe('none')
  })
})

it('a token that is asked for in a wrong way is in no event', async () => {
  const made = stage()
  const { token } = await made.phases.open('kiosk', [macA], hour)
  for (const path of [`/save/${token}/${file}`, `/save/${token}/x/y`, `/SAVE/${token}`, `/x/save/${token}`]) {
    await made.call('GET', path)
    await made.call('POST', path)
    await made.call('DELETE', path)
  }
  expect(JSON.stringify(made.seen())).not.toContain(token)
})

describe('the API', () => {
  const operator = { authorization: `Bearer ${operatorToken}` }

  it('opens, lists and closes, for operators', async () => {
    const made = stage()
    const headers = { ...operator, 'content-type': 'application/json' }
    expect((await made.call('POST', '/api/v1/stations/kiosk/save', '{}', { 'content-type': 'application/json' })).status).toBe(401)
    const opened = (await (await made.call('POST', '/api/v1/stations/kiosk/save', '{"for":"30m"}', headers)).json()) as { token: string }
    expect(opened).toMatchObject({ station: 'kiosk', macs: [macA], until: startedAt + hour / 2, command: 'wget -O- http://10.9.0.1:8080/save | sh' })
    expect((await made.call('PUT', `/save/${opened.token}/${file}`, good)).status).toBe(201)
    const list = await (await made.call('GET', '/api/v1/save', undefined, operator)).text()
    expect(JSON.parse(list)).toMatchObject([{ station: 'kiosk', macs: [macA] }])
    expect(list).not.toContain(opened.token)
    expect(await (await made.call('DELETE', `/api/v1/stations/${macA}/save`, undefined, operator)).json()).toMatchObject({
      closed: [{ station: 'kiosk' }],
    })
    expect((await made.call('PUT', `/save/${opened.token}/${file}`, good)).status).toBe(403)
    expect((await made.call('POST', '/api/v1/stations/kiosk/save', '{"for":"8d"}', headers)).status).toBe(400)
    expect((await made.call('POST', '/api/v1/stations/nobody/save', '{}', headers)).status).toBe(404)
  })

  it('opens again without shutting out who has begun', async () => {
    const made = stage()
    const first = await made.phases.open('kiosk', [macA], hour)
    const second = await made.phases.open('kiosk', [macA], 2 * hour)
    expect([made.phases.list().length, made.phases.verify(first.token)?.until]).toEqual([1, second.phase.until])
  })
})

it('base64 is decoded as Buffer does, however it is cut into pieces', () => {
  const random = seededRandom(9)
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256)))
    const text = round % 2 ? lines(bytes) : bytes.toString('base64')
    const { push, end } = createBase64Decoder()
    const parts: Uint8Array[] = []
    for (let at = 0; at < text.length; ) {
      const step = 1 + Math.floor(random() * 50)
      parts.push(push(Buffer.from(text.slice(at, at + step))))
      at += step
    }
    end()
    expect(Buffer.concat(parts).equals(bytes)).toBe(true)
  }
})

it('anything that is sent leaves the overlay in force or puts a whole one there', async () => {
  const made = stage()
  const { token } = await made.phases.open('kiosk', [macA], hour)
  writeFileSync(made.place, good)
  const random = seededRandom(10)
  for (let round = 0; round < 150; round++) {
    made.clock.now += 3_000
    const bytes = Buffer.from(goodOverlay(`round ${round}`))
    for (let flips = Math.floor(random() * 4); flips > 0; flips--) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    const cut = bytes.subarray(0, random() < 0.5 ? bytes.length : Math.floor(random() * bytes.length))
    const before = made.inForce()
    const response = await made.call('PUT', `/save/${token}/${file}`, cut)
    expect([201, 400]).toContain(response.status)
    expect(made.inForce()).toBe(response.status === 201 ? sha(cut) : before)
  }
  expect(made.drafts()).toEqual([])
})
