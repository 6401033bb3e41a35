// The managing half of the API over real files: records, next boots, tokens, who may what, and the OpenAPI document that describes it all.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openEditor } from '../../src/store/edit.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createNextBoots, recordsWithNext } from '../../src/store/next.ts'
import { openRecords } from '../../src/store/record.ts'
import { verifyToken } from '../../src/store/token.ts'
import { makeScratch } from '../support/scratch.ts'
import { callFrom, createRig, tokens } from './rig.ts'

const kiosk = '# by the door\nmac: 52:54:00:00:00:01\nprofile: local\n'

async function open() {
  const root = await makeScratch()
  const depot = join(root, 'depot')
  await mkdir(join(depot, 'stations'), { recursive: true })
  await mkdir(join(root, 'state'))
  await writeFile(join(depot, 'stations/kiosk.yaml'), kiosk)
  const book = await openRecords({ depot, emit: () => {}, now: Date.now })
  const editor = await openEditor({ depot, state: join(root, 'state'), records: book, now: () => 1000 })
  const { marks } = createMemoryStore()
  const next = createNextBoots({ marks, emit: () => {}, now: () => 0, macsOf: (mac) => book.current().stationByMac.get(mac)?.macs ?? [] })
  onTestFinished(async () => {
    book.close()
    await editor.close()
  })
  const records = { ...book, current: recordsWithNext(book.current, next) }
  const { app } = createRig({ deps: { records, manage: { records, editor, next, marks } } })
  type Role = keyof typeof tokens
  const call = async (method: string, path: string, body?: unknown, role: Role | 'nobody' = 'admin', type = 'application/json') => {
    const headers = { ...(role !== 'nobody' && { authorization: `Bearer ${tokens[role]}` }), ...(body !== undefined && { 'content-type': type }) }
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
    const init = { method, headers, ...(text !== undefined && { body: text }) }
    const response = await app.request(`/api/v1${path}`, init, callFrom('10.9.0.50', { host: '10.9.0.1', ...headers }))
    const answer = await response.text()
    return { status: response.status, body: (answer ? JSON.parse(answer) : undefined) as never }
  }
  return { call, depot, records, marks, next, read: () => readFile(join(depot, 'stations/kiosk.yaml'), 'utf8') }
}

describe('stations and profiles', () => {
  it('are made, shown, changed, renamed and removed, with who did it', async () => {
    const { call, read } = await open()
    expect(await call('POST', '/stations', { name: 'two', mac: '52:54:00:00:00:02', group: 'lab' })).toMatchObject({
      status: 201,
      body: { name: 'two', record: { macs: ['52:54:00:00:00:02'], group: 'lab' } },
    })
    expect((await call('PATCH', '/stations/5254.0000.0001', { profile: 'menu' })).body).toMatchObject({ name: 'kiosk', profile: 'menu' })
    expect(await read()).toBe(kiosk.replace('local', 'menu'))
    expect((await call('POST', '/stations/two/rename', { to: 'three' })).body).toMatchObject({ name: 'three' })
    expect(await call('DELETE', '/stations/three')).toEqual({ status: 204, body: undefined })
    expect((await call('GET', '/stations/three')).status).toBe(404)
    expect((await call('GET', '/stations/kiosk/history')).body).toMatchObject([{ by: 'admin-token', action: 'change', profile: ['local', 'menu'] }])
    expect((await call('GET', '/history')).body).toHaveLength(4)
  })

  it('profiles too; the built-in ones are told from files, and who boots them', async () => {
    const { call } = await open()
    expect((await call('POST', '/profiles', { name: 'disk', kind: 'local' })).status).toBe(201)
    await call('PATCH', '/stations/kiosk', { profile: 'disk' })
    expect((await call('GET', '/profiles/disk')).body).toMatchObject({ builtIn: false, stations: ['kiosk'] })
    expect((await call('GET', '/profiles/menu')).body).toMatchObject({ builtIn: true })
    expect((await call('DELETE', '/profiles/disk')).status).toBe(409)
    expect(((await call('GET', '/profiles')).body as { name: string }[]).map(({ name }) => name)).toContain('disk')
  })

  const refusals: [string, string, string, unknown, number, RegExp][] = [
    ['a wrong value', 'PATCH', '/stations/kiosk', { address: 'x' }, 400, /address/],
    ['an unknown key', 'POST', '/stations', { name: 'two', mac: '52:54:00:00:00:02', profil: 'x' }, 400, /did you mean "profile"/],
    ['a MAC of another', 'POST', '/stations', { name: 'two', mac: '52:54:00:00:00:01' }, 409, /station kiosk/],
    ['a name that is taken', 'POST', '/stations', { name: 'kiosk', mac: '52:54:00:00:00:02' }, 409, /already/],
    ['an unknown station', 'PATCH', '/stations/nobody', {}, 404, /no station "nobody"/],
    ['a MAC without a record', 'PATCH', '/stations/52:54:00:00:00:77', {}, 404, /station add NAME --mac/],
    ['no JSON', 'PATCH', '/stations/kiosk', '{', 400, /not JSON/],
    ['a list', 'PATCH', '/stations/kiosk', [], 400, /block of keys/],
    ['an order for no profile', 'POST', '/next', { stations: ['kiosk'], profile: 'gone' }, 400, /there is no profile "gone"/],
    ['an order for nobody', 'POST', '/next', { stations: ['kiosk', 'nobody'], profile: 'local' }, 404, /nobody/],
  ]
  it.each(refusals)('refuse %s, and nothing changes', async (_, method, path, body, status, detail) => {
    const { call, read, next } = await open()
    const answer = await call(method, path, body)
    expect([answer.status, (answer.body as { detail: string }).detail]).toEqual([status, expect.stringMatching(detail)])
    expect([await read(), next.current().size]).toEqual([kiosk, 0])
  })

  it('take no form, which a page elsewhere could make a browser send', async () => {
    const { call } = await open()
    expect((await call('PATCH', '/stations/kiosk', '{}', 'admin', 'application/x-www-form-urlencoded')).body).toMatchObject({ code: 'body-type' })
  })
})

describe('next boots', () => {
  it('are ordered for all or none, shown and cleared', async () => {
    const { call, records } = await open()
    const order = { stations: ['kiosk', '52:54:00:00:00:77'], profile: 'shell', attempts: null, fallback: 'local' }
    expect((await call('POST', '/next', order, 'operate')).body).toMatchObject([
      { station: 'kiosk', profile: 'shell', state: 'active', by: 'operate-token' },
      { station: null, mac: '52:54:00:00:00:77' },
    ])
    expect(records.current().nextByMac?.size).toBe(2)
    expect((await call('GET', '/stations/kiosk')).body).toMatchObject({ next: { profile: 'shell' } })
    expect((await call('DELETE', '/stations/kiosk/next', undefined, 'operate')).status).toBe(204)
    expect((await call('DELETE', '/stations/kiosk/next', undefined, 'operate')).status).toBe(404)
    expect((await call('GET', '/next')).body).toHaveLength(1)
  })
})

describe('tokens', () => {
  it('are made with a role, listed without their text, taken away; the last admin stays', async () => {
    const { call, marks } = await open()
    const made = await call('POST', '/tokens', { name: 'boss', role: 'admin' })
    const { token } = made.body as { token: string }
    expect([made.status, verifyToken(marks, token)]).toEqual([201, { name: 'boss', role: 'admin' }])
    await call('POST', '/tokens', { name: 'kiosk' })
    const list = await call('GET', '/tokens')
    expect(list.body).toMatchObject([
      { name: 'boss', role: 'admin', by: 'admin-token' },
      { name: 'kiosk', role: 'operate' },
    ])
    expect(JSON.stringify(list.body)).not.toMatch(/bvc_|[0-9a-f]{64}/)
    expect((await call('DELETE', '/tokens/kiosk')).status).toBe(204)
    expect((await call('DELETE', '/tokens/boss')).body).toMatchObject({ code: 'token-last' })
  })
})

describe('the document', () => {
  type Operation = { operationId: string; description: string; responses: Record<string, unknown>; requestBody?: unknown }
  type Document = { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, unknown> } }

  it('is OpenAPI 3.1, with an id of its own for each route and no reference that leads nowhere', async () => {
    const { call } = await open()
    const document = (await call('GET', '/openapi.json')).body as Document
    expect(document.openapi).toBe('3.1.0')
    const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
    expect(operations.length).toBeGreaterThan(20)
    for (const [, name = ''] of JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty(name)
  })

  it('tells the truth of who may what', async () => {
    const { call } = await open()
    const document = (await call('GET', '/openapi.json')).body as Document
    const roles = ['nobody', 'read', 'operate', 'admin'] as const
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { description }] of Object.entries(methods)) {
        const needed = roles.indexOf(/role (\w+)/.exec(description)?.[1] as (typeof roles)[number])
        const asked = path.replace('/api/v1', '').replace(/\{\w+\}/g, 'nobody-there')
        const body = method === 'get' || method === 'delete' ? undefined : []
        const allowed: boolean[] = []
        for (const role of roles) allowed.push(![401, 403].includes((await call(method.toUpperCase(), asked, body, role)).status))
        expect([method, path, allowed]).toEqual([method, path, roles.map((_, index) => index >= needed)])
      }
    }
  })
})
