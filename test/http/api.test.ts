import { describe, expect, it } from 'vitest'
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import { type BootEvent, type BootStep, bootSteps } from '../../src/boot/event.ts'
import type { BootView, LeaseView } from '../../src/http/view.ts'
import { builtInProfiles } from '../../src/boot/record.ts'
import type { Lease } from '../../src/store/port.ts'
import { callFrom, createRig, macA, macB, startedAt, token } from './rig.ts'

const here = callFrom('127.0.0.1', { host: 'localhost' })
const stations = [{ name: 'kiosk', macs: [macA], profile: 'alpine', group: 'hall' }]
const leases: Lease[] = [
  { network: 'lan', ip: '10.9.0.50' as Ipv4, mac: macA, state: 'bound', expiresAt: startedAt / 1000 + 600 },
  { network: 'lan', ip: '10.9.0.51' as Ipv4, mac: macB, state: 'bound', expiresAt: Infinity },
]

type Trace = { readonly boots: readonly BootView[] }

/** A boot of all steps, a second apart, without those left out; the script promised an overlay and a modloop. */
const bootOf = (mac: Mac, without: readonly BootStep[] = [], at = startedAt): BootEvent[] =>
  bootSteps.flatMap((kind, index) => {
    if (without.includes(kind)) return []
    const detail = kind === 'script' ? { boots: true, offers: 'overlay,modloop' } : kind === 'discover' ? { stage: 'firmware' } : undefined
    return [{ at: at + index * 1000, kind, mac, ...(detail && { detail }) }]
  })

function rigWith(events: readonly BootEvent[], more = {}) {
  const rig = createRig({ stations, leases, ...more })
  for (const event of events) rig.events.append(event)
  const get = async <T = { code?: string }>(path: string) => {
    const response = await rig.app.request(`/api/v1${path}`, {}, here)
    return { status: response.status, body: (await response.json()) as T }
  }
  return { ...rig, get }
}

describe('trace', () => {
  it('shows each step with its time', async () => {
    const { get } = rigWith(bootOf(macA))
    const { body } = await get<Trace>(`/stations/${macA}/trace`)
    expect(body).toMatchObject({ name: 'kiosk', macs: [macA] })
    expect(body.boots).toHaveLength(1)
    expect(body.boots[0]).toMatchObject({ isUp: true, due: [], missing: null, startedAt, trouble: [] })
    expect(body.boots[0]?.steps.map(({ step, afterMs }) => [step, afterMs])).toEqual(bootSteps.map((step, index) => [step, index * 1000]))
  })

  it.each<[BootStep, string]>([
    ['overlay', 'overlay'],
    ['modloop', 'modloop'],
    ['kernel', 'kernel'],
    ['initramfs', 'initramfs'],
  ])('names the %s that was passed over', async (step, missing) => {
    const { get } = rigWith(bootOf(macA, [step]))
    const { body } = await get<Trace>(`/stations/${macA}/trace`)
    expect(body.boots[0]).toMatchObject({ missing, due: [step] })
  })

  it('says what is due of a boot that stopped', async () => {
    const { get } = rigWith(bootOf(macA).slice(0, 6))
    const { body } = await get<Trace>('/stations/kiosk/trace')
    expect(body.boots[0]).toMatchObject({ isUp: false, missing: null, due: ['kernel', 'initramfs', 'overlay', 'modloop', 'up'] })
  })

  it('keeps boots and stations apart', async () => {
    const { get } = rigWith([...bootOf(macA), ...bootOf(macB, ['overlay']), ...bootOf(macA, [], startedAt + 60_000)])
    expect((await get<Trace>(`/stations/${macA}/trace`)).body.boots).toHaveLength(2)
    expect((await get('/stations/52-54-00-00-00-0B/trace')).body).toMatchObject({ name: null, macs: [macB], boots: [{ missing: 'overlay' }] })
    expect((await get<Trace>('/stations/52-54-00-00-00-0c/trace')).body.boots).toEqual([])
  })

  it('knows no other names', async () => {
    const { get } = rigWith([])
    expect(await get('/stations/nobody/trace')).toMatchObject({ status: 404, body: { code: 'station' } })
  })
})

describe('stations', () => {
  it('lists records, then who else was seen', async () => {
    const { get } = rigWith([...bootOf(macA).slice(0, 6), ...bootOf(macB)])
    const { body } = await get('/stations')
    expect(body).toMatchObject([
      {
        name: 'kiosk',
        macs: [macA],
        hasRecord: true,
        profile: 'alpine',
        group: 'hall',
        address: '10.9.0.50',
        step: 'script',
        due: 'kernel',
        isUp: false,
      },
      { name: null, macs: [macB], hasRecord: false, profile: null, address: '10.9.0.51', step: 'up', due: null, isUp: true },
    ])
  })
})

describe('events', () => {
  const events = [...bootOf(macA), ...bootOf(macB)]

  it.each<[string, number]>([
    ['', 28],
    [`?mac=${macB}`, 14],
    ['?mac=52-54-00-00-00-0B', 14],
    ['?kinds=up', 2],
    ['?kinds=up,script', 4],
    ['?limit=5', 5],
    [`?since=${startedAt + 13_000}`, 2],
    [`?since=${new Date(startedAt + 13_000).toISOString()}`, 2],
    ['?kinds=none', 0],
  ])('%s gives %i', async (query, count) => {
    const { get } = rigWith(events)
    expect((await get(`/events${query}`)).body).toHaveLength(count)
  })

  it.each(['?mac=nobody', '?limit=0', '?limit=10001', '?limit=1.5', '?limit=x', '?since=yesterdayish'])('refuses %s', async (query) => {
    const { get } = rigWith(events)
    const { status, body } = await get(`/events${query}`)
    expect([status, body.code]).toEqual([400, query.slice(1, query.indexOf('='))])
  })
})

describe('the rest of the API', () => {
  it('describes the server', async () => {
    const { get, clock } = rigWith([])
    clock.now += 90_500
    expect((await get('/status')).body).toEqual({
      version: '1.2.3',
      startedAt,
      uptimeSeconds: 90,
      listening: [{ service: 'http', port: 8080 }],
      counts: { stations: 1, profiles: builtInProfiles.length, releases: 0, leases: 2 },
      problems: [{ message: 'no loader' }],
      troubled: [],
    })
  })

  it('writes a lease without end as null', async () => {
    const { get } = rigWith([])
    expect((await get<LeaseView[]>('/leases')).body.map(({ expiresAt }) => expiresAt)).toEqual([startedAt / 1000 + 600, null])
  })

  it('passes the question on to explain', async () => {
    const { get } = rigWith([])
    const { body } = await get('/explain/kiosk?arch=0,7&stage=firmware&mode=proxy&serial=A1')
    const ask = { httpBase: 'http://localhost', archs: [0, 7], stage: 'firmware', mode: 'proxy', facts: { serial: 'A1' } }
    expect(body).toMatchObject({ name: 'kiosk', macs: [macA], explanations: [{ mac: macA, ask }] })
  })

  it.each(['?arch=x', '?arch=', '?arch=0,,7', '?stage=late', '?mode=both'])('refuses to explain %s', async (query) => {
    const { get } = rigWith([])
    expect((await get(`/explain/kiosk${query}`)).status).toBe(400)
  })

  it('reloads', async () => {
    const { app, reloads } = rigWith([])
    const response = await app.request('/api/v1/reload', { method: 'POST', headers: { authorization: `Bearer ${token}` } })
    expect(await response.json()).toEqual({ counts: { stations: 1, profiles: builtInProfiles.length, releases: 0, leases: 2 }, problems: [] })
    expect(reloads.count).toBe(1)
  })

  it('turns errors into problems, and hides faults', async () => {
    const explain = () => Promise.reject(new TypeError('/secret'))
    const { get, faults } = rigWith([], { deps: { gate: { explain } } })
    expect(await get('/explain/kiosk')).toMatchObject({ status: 500, body: { code: 'internal' } })
    expect(faults).toHaveLength(1)
  })

  it.each([
    ['GET', '/api/v1/none'],
    ['GET', '/api'],
    ['GET', '/api/v2/status'],
    ['POST', '/api/v1/status'],
    ['DELETE', '/api/v1/events'],
    ['GET', '/api/v1/status/'],
  ])('has no %s %s', async (method, path) => {
    const { app, asked } = rigWith([])
    const response = await app.request(path, { method }, here)
    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
    expect(asked).toEqual([])
  })
})
