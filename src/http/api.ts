// The operator API below /api/v1: what is known of stations, boots, leases and the server, as JSON. Called by app.
// Every route says which right it needs; nothing here decides what a station gets.
import type { Context, Hono } from 'hono'
import * as z from 'zod'
import { findMac, type Mac } from '../boot/address.ts'
import { parseDuration } from '../boot/duration.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { splitBoots } from '../boot/progress.ts'
import type { ExplainAsk } from '../station/explain.ts'
import type { EventQuery } from '../store/port.ts'
import { callOf, type HttpEnv, httpBaseOf } from './caller.ts'
import type { AppDeps, SaveDeps } from './deps.ts'
import { createLive, parseResume } from './live.ts'
import { parseFacts } from './name.ts'
import { refuse } from './problem.ts'
import { json, type RouteTable } from './route.ts'
import {
  countsShape,
  eventShape,
  explainShape,
  leaseShape,
  openedPhase,
  phaseView,
  problemLine,
  problemsShape,
  stationLine,
  statusShape,
  traceShape,
} from './shape.ts'
import { listStations, mergeEvents, viewBoot, viewLease } from './view.ts'

type Handler = (c: Context<HttpEnv>) => Response | Promise<Response>

/** Stations that `status` names because something is wrong with them. */
const maxTroubled = 100

/** How many of the newest events the list of stations looks at, and the trace of one. */
const lookBack = { list: 10_000, trace: 2_000, boots: 20 }

/** Adds the routes to the table, and the answer for paths of the API that no route has. */
export function addApi(app: Hono<HttpEnv>, table: RouteTable, deps: AppDeps): void {
  const { add } = table
  const { records, leases, store } = deps
  add({ method: 'GET', path: '/status', right: 'read', summary: 'What the server listens on, serves and complains of', answer: statusShape }, () =>
    describeStatus(deps),
  )
  const readEvents = createEventsHandler(deps)
  add(
    {
      method: 'GET',
      path: '/events',
      right: 'read',
      summary: 'What stations did; live as server-sent events where those are accepted',
      query: eventQuery,
      answer: z.array(eventShape),
      isLive: true,
    },
    ({ c }) => readEvents(c),
  )
  add(
    {
      method: 'GET',
      path: '/stations',
      right: 'read',
      summary: 'All stations, and MACs that were seen without a record',
      answer: z.array(stationLine),
    },
    () => listStations(records.current(), leases.list(), store.events.read({ limit: lookBack.list }), deps.acquaintances),
  )
  add(
    { method: 'GET', path: '/stations/:station/trace', right: 'read', summary: 'The boots of one station, step by step', answer: traceShape },
    ({ part }) => trace(deps, part('station')),
  )
  add(
    {
      method: 'GET',
      path: '/explain/:station',
      right: 'read',
      summary: 'What a station would get, and why',
      query: explainQuery,
      answer: explainShape,
    },
    ({ c }) => explain(deps, c),
  )
  add({ method: 'GET', path: '/leases', right: 'read', summary: 'Who holds which address', answer: z.array(leaseShape) }, () =>
    leases.list().map(viewLease),
  )
  add({ method: 'GET', path: '/problems', right: 'read', summary: 'What is wrong in records and server', answer: problemsShape }, () => ({
    records: records.problems(),
    server: deps.status().problems,
  }))
  add({ method: 'POST', path: '/reload', right: 'operate', summary: 'Read all records again', answer: reloadShape }, async () => {
    await records.reload()
    return { counts: countRecords(deps), problems: records.problems() }
  })
  if (deps.save) addPhaseRoutes(table, deps, deps.save)
  app.all('/api/*', (c) => refuse(404, 'no-route', `there is no ${c.req.method} ${c.req.path.slice(0, 80)}`))
}

const reloadShape = z.object({ counts: countsShape, problems: z.array(problemLine) })
const eventQuery = z.object({ mac: z.string().optional(), since: z.string().optional(), kinds: z.string().optional(), limit: z.string().optional() })
const explainQuery = z.object({
  arch: z.string().optional(),
  stage: z.string().optional(),
  mode: z.string().optional(),
  network: z.string().optional(),
})

function addPhaseRoutes({ add }: RouteTable, deps: AppDeps, save: SaveDeps): void {
  add({ method: 'GET', path: '/save', right: 'read', summary: 'Stations whose configuration phase is open', answer: z.array(phaseView) }, () =>
    save.phases.list(),
  )
  add(
    {
      method: 'POST',
      path: '/stations/:station/save',
      right: 'operate',
      summary: 'Open a configuration phase: the station may send its overlay back',
      body: phaseShape,
      answer: openedPhase,
    },
    ({ c, body }) => openPhase(deps, save, c, body.for),
  )
  add(
    { method: 'DELETE', path: '/stations/:station/save', right: 'operate', summary: 'Close it', answer: z.object({ closed: z.array(phaseView) }) },
    async ({ part }) => {
      const { macs } = findStation(deps, part('station'))
      return { closed: await save.phases.close(macs) }
    },
  )
}

function describeStatus(deps: AppDeps): object {
  const { version, startedAt, listening, problems } = deps.status()
  const uptimeSeconds = Math.floor((deps.now() - startedAt) / 1000)
  const troubled = listStations(deps.records.current(), deps.leases.list(), deps.store.events.read({ limit: lookBack.list })).flatMap(
    ({ name, macs, isUp, reason, lastAt }) => (reason === null ? [] : [{ station: name ?? macs[0] ?? null, isUp, reason, lastAt }]),
  )
  return {
    version,
    startedAt,
    uptimeSeconds,
    listening,
    counts: countRecords(deps),
    problems: [...problems, ...deps.records.problems()],
    troubled: troubled.slice(0, maxTroubled),
  }
}

function countRecords({ records, leases }: AppDeps): Record<string, number> {
  const { stations, profiles, releases } = records.current()
  return { stations: stations.length, profiles: profiles.size, releases: releases.length, leases: leases.list().length }
}

/** The log as JSON, or live as server-sent events when the caller accepts those. */
function createEventsHandler({ store, every }: AppDeps): Handler {
  const live = createLive(store.events, every)
  return (c) => {
    const query = parseEventQuery(c)
    if (!c.req.header('accept')?.includes('text/event-stream')) return json(store.events.read(query))
    const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' }
    // A stream opened for HEAD would never be read, and never closed.
    if (c.req.method === 'HEAD') return new Response(null, { headers })
    const stream = live.open(query, parseResume(c.req.header('last-event-id')))
    return stream ? new Response(stream, { headers }) : refuse(503, 'too-many-streams', 'too many live readers', { 'Retry-After': '5' })
  }
}

function parseEventQuery(c: Context<HttpEnv>): EventQuery {
  const { mac: macText, since: sinceText, kinds, limit: limitText } = c.req.query()
  const mac = macText === undefined ? undefined : findMac(macText)
  if (macText !== undefined && !mac) throw new InputError('mac', `"${macText.slice(0, 40)}" is not a MAC address`, { path: 'mac' })
  const since = sinceText === undefined ? undefined : parseTime(sinceText)
  const limit = limitText === undefined ? 1000 : Number(limitText)
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) throw new InputError('limit', 'a number from 1 to 10000', { path: 'limit' })
  return { limit, ...(mac && { mac }), ...(since !== undefined && { since }), ...(kinds && { kinds: kinds.split(',', 32) }) }
}

/** Milliseconds since 1970, or a date such as 2026-08-01T12:00:00Z. */
function parseTime(text: string): number {
  const at = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(at)) throw new InputError('since', 'milliseconds since 1970, or a date such as 2026-08-01T12:00:00Z', { path: 'since' })
  return at
}

/** The MACs meant by a path part: a MAC in any spelling, or the name of a record. Throws MissingError. */
function findStation({ records }: AppDeps, text: string): { name: string | null; macs: readonly Mac[] } {
  const mac = findMac(text)
  const { stations, stationByMac } = records.current()
  const station = mac ? stationByMac.get(mac) : stations.find(({ name }) => name === text)
  if (station) return { name: station.name, macs: station.macs }
  if (mac) return { name: null, macs: [mac] }
  throw new MissingError('station', `"${text.slice(0, 64)}" is neither a MAC address nor the name of a station`)
}

const phaseShape = z.strictObject({ for: z.string().max(20).default('2h') })

/** The token is in this answer alone. `command` is for the station, which is known by its address; `tokenCommand` where it is not. */
async function openPhase(deps: AppDeps, save: SaveDeps, c: Context<HttpEnv>, duration: string): Promise<object> {
  const durationMs = parseDuration(duration)
  const { name, macs } = findStation(deps, c.req.param('station') ?? '')
  const { phase, token } = await save.phases.open(name, macs, durationMs)
  const place = (await deps.gate.explain(macs[0] as Mac, {})).place
  const base = place?.httpBase ?? deps.httpBase ?? httpBaseOf(callOf(c))
  return { ...phase, token, command: `wget -O- ${base}/save | sh`, tokenCommand: `wget -O- ${base}/save/${token} | sh` }
}

function trace(deps: AppDeps, text: string): object {
  const { name, macs } = findStation(deps, text)
  const events = mergeEvents(macs.map((mac) => deps.store.events.read({ mac, limit: lookBack.trace })))
  return { name, macs, boots: splitBoots(events).slice(-lookBack.boots).map(viewBoot) }
}

async function explain(deps: AppDeps, c: Context<HttpEnv>): Promise<object> {
  const { name, macs } = findStation(deps, c.req.param('station') ?? '')
  const ask = parseExplainAsk(deps, c)
  return { name, macs, explanations: await Promise.all(macs.map((mac) => deps.gate.explain(mac, ask))) }
}

/** `?arch=0,7&stage=firmware&mode=proxy&network=lab`, and the facts that a station would tell. */
function parseExplainAsk(deps: AppDeps, c: Context<HttpEnv>): ExplainAsk {
  const { arch, stage, mode, network } = c.req.query()
  const facts = parseFacts(c.req.url)
  return {
    httpBase: deps.httpBase ?? httpBaseOf(callOf(c)),
    ...(arch !== undefined && { archs: arch.split(',', 32).map(parseArch) }),
    ...(stage !== undefined && { stage: oneOf('stage', ['firmware', 'ipxe', 'bivouac', 'system'], stage) }),
    ...(mode !== undefined && { mode: oneOf('mode', ['server', 'proxy'], mode) }),
    ...(network !== undefined && { network }),
    ...(facts && { facts }),
  }
}

function parseArch(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InputError('arch', 'option 93 codes separated by commas, such as 0,7', { path: 'arch' })
  return Number(text)
}

function oneOf<T extends string>(path: string, allowed: readonly T[], text: string): T {
  const found = allowed.find((value) => value === text)
  if (found === undefined) throw new InputError(path, `one of ${allowed.join(', ')}`, { path })
  return found
}
