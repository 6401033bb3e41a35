// Power over the operator API: who may, one result for each station, what is unknown refused before anything is switched.
import { describe, expect, it } from 'vitest'
import { ConflictError, OutsideError } from '../../src/boot/error.ts'
import { indexRecords, stationSchema } from '../../src/boot/record.ts'
import type { PowerDesk } from '../../src/power/desk.ts'
import { callFrom, createRig, tokens } from './rig.ts'

const stations = [
  { name: 'one', macs: ['52:54:00:00:00:01'], power: { kind: 'wake' } },
  { name: 'two', macs: ['52:54:00:00:00:02'], power: { kind: 'wake' } },
  { name: 'dead', macs: ['52:54:00:00:00:03'] },
]

function open(desk: Partial<PowerDesk> = {}) {
  const told: unknown[] = []
  const records = indexRecords(
    stations.map((one) => stationSchema.parse(one)),
    [],
    [],
  )
  const whole: PowerDesk = {
    status: async ({ name }) => (name === 'one' ? 'on' : 'off'),
    act: async (station, action, bootFrom) => {
      if (station.name === 'dead') throw new OutsideError('power-unreachable', 'no answer', true)
      told.push([station.name, action, bootFrom])
    },
    refresh: async (subnets) => subnets.length,
    ...desk,
  }
  const { app, seen } = createRig({ deps: { power: { desk: whole, records: () => records, emit: (event) => void told.push(event), now: () => 9 } } })
  const call = async (method: string, path: string, body?: unknown, role: keyof typeof tokens | 'nobody' = 'operate', from = '10.9.0.50') => {
    const headers = {
      ...(role !== 'nobody' && { authorization: `Bearer ${tokens[role]}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
    const response = await app.request(`/api/v1${path}`, init, callFrom(from, { host: '10.9.0.1', ...headers }))
    return { status: response.status, body: JSON.parse((await response.text()) || 'null') as never }
  }
  return { call, told, seen }
}

describe('power', () => {
  it('is asked by name and by MAC', async () => {
    const { call } = open()
    expect(await call('GET', '/stations/one/power', undefined, 'read')).toEqual({ status: 200, body: { state: 'on' } })
    expect((await call('GET', '/stations/5254.0000.0002/power', undefined, 'read')).body).toEqual({ state: 'off' })
  })

  it('is switched for many, each with its own result, and told as an event', async () => {
    const { call, told } = open()
    const answer = await call('POST', '/power', { stations: ['one', 'dead', 'two'], action: 'cycle', bootFrom: 'network' })
    expect(answer).toEqual({
      status: 200,
      body: [
        { station: 'one', state: null, error: null },
        { station: 'dead', state: null, error: 'no answer' },
        { station: 'two', state: null, error: null },
      ],
    })
    expect(told).toEqual(
      expect.arrayContaining([
        ['one', 'cycle', 'network'],
        expect.objectContaining({ kind: 'power', detail: { action: 'cycle', by: 'operate-token', bootFrom: 'network' } }),
      ]),
    )
    expect(told).toHaveLength(4)
  })

  it('states of many: what fails is unknown with its reason', async () => {
    const { call } = open({ status: async () => Promise.reject(new ConflictError('power-address', 'not known yet')) })
    expect((await call('POST', '/power', { stations: ['one'], action: 'status' })).body).toEqual([
      { station: 'one', state: 'unknown', error: 'not known yet' },
    ])
  })

  it('of a station that nobody knows is refused, and nobody is switched', async () => {
    const { call, told } = open()
    expect(await call('POST', '/power', { stations: ['one', 'nobody'], action: 'off' })).toMatchObject({ status: 404, body: { code: 'station' } })
    expect(told).toEqual([])
    expect((await call('GET', '/stations/nobody/power', undefined, 'read')).status).toBe(404)
  })

  it.each([
    [{ stations: [], action: 'on' }],
    [{ stations: ['one'], action: 'explode' }],
    [{ stations: ['one'], action: 'on', bootFrom: 'floppy' }],
    [{ stations: Array.from({ length: 1001 }, () => 'one'), action: 'on' }],
  ])('a wrong body is refused: %#', async (body) => {
    const { call, told } = open()
    expect([(await call('POST', '/power', body)).status, told]).toEqual([400, []])
  })

  it('neighbours are looked for in subnets', async () => {
    const { call } = open()
    expect((await call('POST', '/power/refresh', { subnets: ['10.9.1.0/24'] })).body).toEqual({ neighbours: 1 })
    expect((await call('POST', '/power/refresh', { subnets: ['-oProxy'] })).status).toBe(400)
  })

  it.each([
    ['nobody', 401, 401],
    ['read', 200, 403],
    ['operate', 200, 200],
    ['admin', 200, 200],
  ] as const)('%s: asking %i, switching %i', async (role, asking, switching) => {
    const { call } = open()
    expect((await call('GET', '/stations/one/power', undefined, role)).status).toBe(asking)
    expect((await call('POST', '/power', { stations: ['one'], action: 'on' }, role)).status).toBe(switching)
    expect((await call('POST', '/power/refresh', { subnets: ['10.9.1.0/24'] }, role)).status).toBe(switching)
  })
})
