// The document of the operator API against a whole server on loopback: valid, complete, and true of each route's role, answers and refusals.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { loadConfig } from '../../src/config.ts'
import type { AppDeps } from '../../src/http/deps.ts'
import { type Server, startServer } from '../../src/server.ts'
import type { Role } from '../../src/store/token.ts'
import { goodOverlay } from '../support/overlay.ts'
import { createRig, macA } from './rig.ts'

type Media = Record<string, { schema?: Parameters<typeof z.fromJSONSchema>[0] }>
type Operation = {
  description: string
  parameters: { name: string; in: string }[]
  requestBody?: { required: boolean; content: Media }
  responses: Record<string, { content?: Media }>
}
type Document = { paths: Record<string, Record<string, Operation>> }
type Ask = { method: string; path: string; body?: unknown; token?: string; isFar?: boolean }

const roles: readonly Role[] = ['read', 'operate', 'admin']
const mac = '52:54:00:12:34:56'

let server: Server
let base: string
let folder: string
let document: Document
const tokens = {} as Record<Role, string>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bivouac-openapi-'))
  const write = (path: string, bytes: string | Uint8Array): void => {
    mkdirSync(join(folder, 'depot', path, '..'), { recursive: true })
    writeFileSync(join(folder, 'depot', path), bytes)
  }
  for (const part of ['vmlinuz', 'initramfs', 'modloop']) write(`releases/alpine/3.22.2/x86_64/lts/${part}-lts`, part)
  write('stations/kiosk.yaml', `mac: ${mac}\nprofile: plain\n`)
  write('profiles/plain.yaml', 'kind: alpine\nrepositories: [apk/v3.22/main]\n')
  write('configs/52-54-00-12-34-56.tar.gz', goodOverlay('kiosk'))
  const flags = { 'http.address': '127.0.0.1', 'http.port': '0', 'tftp.enabled': 'false', depot: join(folder, 'depot'), state: join(folder, 'state') }
  server = await startServer(loadConfig({ flags, env: {}, cwd: folder }).config, '0.0.0', (error) => {
    throw error
  })
  base = `http://127.0.0.1:${server.listening.find(({ service }) => service === 'http')?.port}`
  tokens.admin = server.newToken as string
  for (const role of ['read', 'operate'] as const) {
    const made = await send({ method: 'POST', path: '/api/v1/tokens', token: tokens.admin, body: { name: role, role } })
    tokens[role] = ((await made.json()) as { token: string }).token
  }
  document = (await (await send({ method: 'GET', path: '/api/v1/openapi.json' })).json()) as Document
  // A boot, so that trace, events and list have something to tell.
  for (const path of [`/boot/52-54-00-12-34-56.ipxe`, '/configs/52-54-00-12-34-56.tar.gz']) await (await fetch(base + path)).arrayBuffer()
}, 60_000)

afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const send = ({ method, path, body, token, isFar }: Ask): Promise<Response> =>
  fetch(base + path, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(isFar && { 'x-forwarded-for': '10.9.0.50' }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })

/** Reads ask for what is there, changes for what is not: a role that suffices changes nothing here. */
const fill = (path: string, isRead: boolean): string =>
  path
    .replace('{station}', isRead ? 'kiosk' : 'nobody')
    .replace('{profile}', isRead ? 'plain' : 'nothing')
    .replaceAll(/\{[a-z]+\}/g, 'f00d')

type Case = { method: string; path: string; template: string; right: Role; operation: Operation }

const listCases = (): Case[] =>
  Object.entries(document.paths).flatMap(([template, operations]) =>
    Object.entries(operations).map(([lower, operation]) => {
      const method = lower.toUpperCase()
      const right = /Needs the role ([a-z]+)/.exec(operation.description)?.[1] as Role
      return { method, path: fill(template, method === 'GET'), template, right, operation }
    }),
  )

/** The body is not JSON of an object: no handler may do anything with it. */
const wrongBody = ({ operation, method }: Case): { body?: unknown } => (operation.requestBody && method !== 'GET' ? { body: [] } : {})

const title = ({ method, template }: Case): string => `${method} ${template}`

describe('the document', () => {
  it('is valid OpenAPI', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document) as never)
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined })
  })

  it('names each operation once, with a role and a summary', () => {
    const all = Object.values(document.paths).flatMap((one) => Object.values(one)) as (Operation & { operationId: string; summary: string })[]
    expect(all.length).toBeGreaterThan(50)
    expect(new Set(all.map(({ operationId }) => operationId)).size).toBe(all.length)
    expect(all.filter(({ summary }) => !summary || summary.startsWith('/'))).toEqual([])
    expect(
      listCases()
        .filter(({ right }) => !roles.includes(right))
        .map(title),
    ).toEqual([])
  })

  it('lists every route of the API that there is, and no other', () => {
    // Routes are only added here, never asked, so that these need not work.
    const none = {} as never
    const parts: Partial<AppDeps> = { ipxe: none, manage: none, nfs: none, desk: none, mirror: none, save: none, power: none }
    const { app } = createRig({ deps: parts })
    const routed = app.routes.filter(({ path, method }) => path.startsWith('/api') && !(path === '/api/*' && method === 'ALL'))
    const known = routed.map(({ method, path }) => `${method} ${path.replaceAll(/:([a-z]+)/gi, '{$1}')}`)
    expect([...new Set(known)].sort()).toEqual(listCases().map(title).sort())
  })
})

describe('every route', () => {
  it('refuses a caller from elsewhere without a token', async () => {
    for (const one of listCases()) {
      const answer = await send({ ...one, ...wrongBody(one), isFar: true })
      expect([title(one), answer.status, answer.headers.get('content-type')]).toEqual([title(one), 401, 'application/problem+json'])
      await answer.body?.cancel()
    }
  })

  it('lets this machine read without a token, and no more', async () => {
    for (const one of listCases()) {
      const answer = await send({ ...one, ...wrongBody(one) })
      expect([title(one), answer.status === 401]).toEqual([title(one), one.right !== 'read'])
      await answer.body?.cancel()
    }
  })

  it.each(roles)('gives the role %s what the document says, no less and no more', async (role) => {
    for (const one of listCases()) {
      const answer = await send({ ...one, ...wrongBody(one), token: tokens[role], isFar: true })
      const may = roles.indexOf(role) >= roles.indexOf(one.right)
      expect([title(one), answer.status === 403]).toEqual([title(one), !may])
      expect([title(one), answer.status], title(one)).not.toEqual([title(one), 401])
      // 503: sources of iPXE that are not here.
      expect([title(one), answer.status < 500 || answer.status === 503]).toEqual([title(one), true])
      await answer.body?.cancel()
    }
  })

  it('refuses a wrong body with 400 and where it is wrong', async () => {
    const withBody = listCases().filter(({ operation }) => operation.requestBody)
    expect(withBody.length).toBeGreaterThan(12)
    for (const one of withBody) {
      // Where a body may be left out, what it belongs to is looked at first.
      const statuses = one.operation.requestBody?.required || !one.template.includes('{') ? [400] : [400, 404]
      for (const body of [[], 'text', 7, null]) {
        const answer = await send({ ...one, body, token: tokens.admin })
        expect([title(one), body, statuses.includes(answer.status), answer.headers.get('content-type')]).toEqual([
          title(one),
          body,
          true,
          'application/problem+json',
        ])
        expect(await answer.json()).toMatchObject({ status: answer.status, code: expect.any(String), detail: expect.stringMatching(/\w/) })
      }
    }
  })

  it('refuses a body that is no JSON, or is not said to be', async () => {
    for (const one of listCases().filter(({ operation }) => operation.requestBody?.required))
      for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
        const headers = { authorization: `Bearer ${tokens.admin}`, 'content-type': type }
        const answer = await fetch(base + one.path, { method: one.method, headers, body: 'a=1' })
        expect([title(one), type, answer.status, answer.headers.get('content-type')]).toEqual([title(one), type, 400, 'application/problem+json'])
        await answer.body?.cancel()
      }
  })

  it('answers what is read in the shape that the document shows', async () => {
    const statuses: Record<string, number> = {}
    for (const one of listCases().filter(({ method }) => method === 'GET')) {
      const answer = await send({ ...one, token: tokens.admin })
      statuses[one.template] = answer.status
      await expectFit(one, answer)
    }
    const answered = Object.keys(statuses).filter((path) => statuses[path] === 200)
    for (const path of ['status', 'events', 'stations', 'stations/{station}', 'stations/{station}/trace', 'explain/{station}', 'leases', 'problems'])
      expect(answered).toContain(`/api/v1/${path}`)
    for (const path of ['overlay', 'overlay/lint', 'overlay/history']) expect(answered).toContain(`/api/v1/stations/{station}/${path}`)
    for (const path of ['mirror', 'nfs', 'save', 'next', 'tokens', 'profiles', 'history', 'ipxe/targets', 'ipxe/recipes'])
      expect(answered).toContain(`/api/v1/${path}`)
  })
  it('answers changes in the shape that the document shows', async () => {
    const kiosk = '/stations/{station}'
    const steps: [number, string, string, unknown?, Record<string, string>?][] = [
      [200, 'POST', '/stations?dryRun=true', { name: 'new-1', mac: '52:54:00:00:01:01' }],
      [201, 'POST', '/stations', { name: 'new-1', mac: '52:54:00:00:01:01' }],
      [409, 'POST', '/stations', { name: 'new-1', mac: '52:54:00:00:01:01' }],
      [200, 'PATCH', `${kiosk}?dryRun=true`, { group: 'lab' }],
      [200, 'PATCH', kiosk, { group: 'lab' }],
      [200, 'POST', `${kiosk}/rename?dryRun=true`, { to: 'new-2' }],
      [200, 'POST', `${kiosk}/rename`, { to: 'new-2' }],
      [200, 'POST', '/stations/import?dryRun=true', { stations: [{ name: 'new-3', mac: '52:54:00:00:01:03' }] }],
      [200, 'POST', '/stations/import', { stations: [{ name: 'new-3', mac: '52:54:00:00:01:03' }] }],
      [201, 'POST', '/profiles', { name: 'other', kind: 'local' }],
      [200, 'PATCH', '/profiles/{profile}', { kind: 'wait' }, { profile: 'other' }],
      [200, 'POST', '/profiles/{profile}/rename', { to: 'another' }, { profile: 'other' }],
      [200, 'DELETE', '/profiles/{profile}?dryRun=true', undefined, { profile: 'another' }],
      [204, 'DELETE', '/profiles/{profile}', undefined, { profile: 'another' }],
      [200, 'POST', '/next?dryRun=true', { stations: ['new-2'], profile: 'plain' }],
      [200, 'POST', '/next', { stations: ['new-2'], profile: 'plain' }],
      [200, 'GET', '/next'],
      [200, 'GET', kiosk, undefined, { station: 'new-2' }],
      [204, 'DELETE', `${kiosk}/next`, undefined, { station: 'new-2' }],
      [404, 'DELETE', `${kiosk}/next`, undefined, { station: 'new-2' }],
      [200, 'GET', '/history'],
      [200, 'POST', `${kiosk}/save`, { for: '1h' }, { station: 'new-2' }],
      [200, 'GET', '/save'],
      [200, 'DELETE', `${kiosk}/save`, undefined, { station: 'new-2' }],
      [200, 'POST', `${kiosk}/overlay/release`, undefined, { station: 'kiosk' }],
      [200, 'GET', `${kiosk}/overlay`, undefined, { station: 'kiosk' }],
      [200, 'POST', '/reload'],
      [200, 'POST', '/power', { stations: ['new-2'], action: 'status' }],
      [201, 'POST', '/tokens', { name: 'gone' }],
      [204, 'DELETE', '/tokens/{name}', undefined, { name: 'gone' }],
      [200, 'POST', '/ipxe/recipe', { recipe: 'usb' }],
      [200, 'POST', '/ipxe/prune', {}],
      [200, 'POST', '/nfs/close', {}],
      [204, 'DELETE', kiosk, undefined, { station: 'new-2' }],
      [404, 'DELETE', kiosk, undefined, { station: 'new-2' }],
    ]
    for (const [status, method, route, body, names = { station: 'new-1' }] of steps) {
      const template = `/api/v1${route.split('?')[0]}`
      const path = `/api/v1${route}`.replace(/\{([a-z]+)\}/, (_, name: string) => names[name] ?? '')
      const answer = await send({ method, path, body, token: tokens.admin })
      expect([`${method} ${route}`, answer.status, answer.ok === status < 400 ? '' : await answer.clone().text()]).toEqual([
        `${method} ${route}`,
        status,
        '',
      ])
      const operation = document.paths[template]?.[method.toLowerCase()] as Operation
      if (status === 204) expect(Object.keys(operation.responses)).toContain('204')
      else await expectFit({ method, path, template, right: 'admin', operation }, answer)
    }
  })
})

/** A success in its schema and as its type; or a refusal that the document knows, as problem+json. */
async function expectFit({ operation, template, method }: Case, answer: Response): Promise<void> {
  const where = `${method} ${template}: ${answer.status}`
  const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
  const media = operation.responses[String(answer.status)]?.content ?? operation.responses.default?.content ?? {}
  expect([where, Object.keys(media).includes(type), type]).toEqual([where, true, type])
  if (!type.endsWith('json')) return void (await answer.body?.cancel())
  const value: unknown = await answer.json()
  if (!answer.ok) {
    expect([where, [400, 404, 409, 503].includes(answer.status)]).toEqual([where, true])
    return void expect(value).toMatchObject({ status: answer.status, code: expect.any(String) })
  }
  const result = z.fromJSONSchema(media[type]?.schema as never).safeParse(value)
  expect([where, result.error?.issues ?? []]).toEqual([where, []])
}

describe('what one server alone does not have', () => {
  it('leases and boots fit their shapes too', async () => {
    const leases = [
      { network: 'lab', ip: '10.9.0.50', mac: macA, state: 'bound', expiresAt: 1_800_000_000, hostname: 'kiosk' },
      { network: 'lab', ip: '10.9.0.51', mac: '52:54:00:00:00:0b', state: 'released', expiresAt: Number.POSITIVE_INFINITY },
    ] as never
    const { app, events, clock } = createRig({ leases })
    for (const kind of ['discover', 'offer', 'request', 'ack', 'loader', 'script', 'kernel', 'initramfs', 'up'] as const)
      events.append({ at: clock.now, kind, mac: macA, network: 'lab', detail: { file: 'a', sizeBytes: 1, trouble: 'x', isKept: true } })
    const schemas = { leases: '/leases', stations: '/stations', events: '/events', trace: `/stations/${macA}/trace` }
    for (const [name, path] of Object.entries(schemas)) {
      const answer = await app.request(`/api/v1${path}`, { headers: { authorization: 'Bearer bvc_right' } })
      const template = name === 'trace' ? '/api/v1/stations/{station}/trace' : `/api/v1${path}`
      const value = (await answer.clone().json()) as unknown[] & { boots?: unknown[] }
      expect([name, (value.boots ?? value).length > 0]).toEqual([name, true])
      await expectFit({ method: 'GET', path, template, right: 'read', operation: document.paths[template]?.get as Operation }, answer)
    }
  })
})
