// Stations, profiles, next boots and tokens, changed over the operator API. Called by app; the rules are store/edit's and store/next's.
import type { Context } from 'hono'
import { z } from 'zod'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { describeNext, type NextAsk, type NextBoot, orderNext } from '../boot/next.ts'
import { nameSchema } from '../boot/field.ts'
import { profileSchema, type Records, type Station, stationSchema } from '../boot/record.ts'
import type { RecordEditor } from '../store/edit.ts'
import type { ChangeEntry, RecordChange } from '../store/edit-draft.ts'
import type { NextBoots } from '../store/next.ts'
import type { RecordBook, RecordKind } from '../store/record.ts'
import { createToken, listTokens, localName, revokeToken, roles } from '../store/token.ts'
import type { MarkStore } from '../store/port.ts'
import type { HttpEnv } from './caller.ts'
import { json, type RouteTable } from './route.ts'

export type ManageDeps = {
  readonly records: Pick<RecordBook, 'current' | 'placeOf'>
  readonly editor: RecordEditor
  readonly next: NextBoots
  readonly marks: MarkStore
}

/** A record's own keys: any of them, null takes one away. The record is checked as a whole by its schema before it is written. */
const patchSchema = z.record(z.string(), z.unknown())
/** Checked in full, nothing written: the answer is the files as they would be. */
const dryRun = z.object({ dryRun: z.enum(['true', 'false']).optional() })
const previewShape = z.object({
  dryRun: z.literal(true),
  files: z.array(z.object({ file: z.string(), before: z.string().optional(), after: z.string().optional() })),
})
const stationName = z.string().max(64)

const nextSchema = z.strictObject({
  profile: nameSchema,
  times: z.number().int().min(1).max(1000).default(1).describe('boots that must call back'),
  attempts: z.number().int().min(1).max(1000).nullable().default(3).describe('boots that may begin without a call-back; null: any number'),
  forSeconds: z.number().int().min(60).max(31_536_000).default(86_400),
  fallback: nameSchema.optional().describe('what is booted once the order has failed; absent: the usual profile'),
})

const nextView = z
  .object({ mac: z.string(), station: z.string().nullable(), profile: z.string(), state: z.enum(['active', 'failed']), text: z.string() })
  .loose()
const stationView = z.object({ name: z.string(), record: stationSchema, profile: z.string(), next: nextView.nullable() })
const entryView = z.object({ at: z.number(), by: z.string(), kind: z.string(), name: z.string(), action: z.string() }).loose()
const tokenView = z.object({ name: z.string(), role: z.enum(roles), madeAt: z.number().nullable(), by: z.string().nullable() })

export function addManagement({ add }: RouteTable, deps: ManageDeps): void {
  addRecordRoutes(add, deps, 'stations')
  addRecordRoutes(add, deps, 'profiles')
  addNextRoutes(add, deps)
  addTokenRoutes(add, deps)
  add({ method: 'GET', path: '/history', right: 'read', summary: 'Who changed which record, newest last', answer: z.array(entryView) }, () =>
    deps.editor.history(),
  )
}

type Add = RouteTable['add']

function addRecordRoutes(add: Add, deps: ManageDeps, kind: RecordKind): void {
  const { records, editor } = deps
  const one = kind === 'stations' ? 'station' : 'profile'
  const path = `/${kind}/:${one}`
  const nameOf = (part: (name: string) => string): string => (kind === 'stations' ? findStation(records.current(), part(one)).name : part(one))
  const answer =
    kind === 'stations' ? stationView : z.object({ name: z.string(), builtIn: z.boolean(), record: profileSchema, stations: z.array(z.string()) })
  const view = (name: string): unknown => (kind === 'stations' ? viewStation(deps, name) : viewProfile(records.current(), deps, name))
  const changed = async (c: Context<HttpEnv>, change: RecordChange, by: string, name = change.name): Promise<unknown> => {
    const isDryRun = c.req.query('dryRun') === 'true'
    const files = await editor.apply([change], by, { isDryRun })
    if (isDryRun) return json({ dryRun: true, files })
    return change.action === 'remove' ? undefined : view(name)
  }

  if (kind === 'stations')
    add(
      {
        method: 'POST',
        path: '/stations/import',
        right: 'admin',
        summary: 'Make or change many stations, all of them or none',
        query: dryRun,
        body: z.strictObject({
          stations: z.array(z.looseObject({ name: nameSchema })).max(20_000),
          profiles: z
            .array(z.looseObject({ name: nameSchema }))
            .max(20_000)
            .default([])
            .describe('made or changed with them'),
        }),
        answer: z.object({ made: z.number(), changed: z.number(), same: z.number() }).loose(),
      },
      ({ c, body, by }) => importStations(deps, body.stations, by, c.req.query('dryRun') === 'true', body.profiles),
    )
  if (kind === 'profiles')
    add({ method: 'GET', path: '/profiles', right: 'read', summary: 'All profiles, the built-in ones too', answer: z.array(answer) }, () =>
      [...records.current().profiles.keys()].sort().map(view),
    )
  add({ method: 'GET', path, right: 'read', summary: `One ${one}: its record and what it boots`, answer }, ({ part }) => view(nameOf(part)))
  add(
    {
      method: 'POST',
      path: `/${kind}`,
      right: 'admin',
      summary: `Make a ${one}`,
      query: dryRun,
      body: z.looseObject({ name: nameSchema }),
      answer,
      preview: previewShape,
      status: 201,
    },
    ({ c, body: { name, ...value }, by }) => changed(c, { kind, name, action: 'create', value }, by),
  )
  add(
    {
      method: 'PATCH',
      path,
      right: 'admin',
      summary: `Change keys of a ${one} (JSON merge patch); comments of its file stay`,
      query: dryRun,
      body: patchSchema,
      answer,
      preview: previewShape,
    },
    ({ c, body, by, part }) => changed(c, { kind, name: nameOf(part), action: 'change', patch: body }, by),
  )
  add(
    {
      method: 'POST',
      path: `${path}/rename`,
      right: 'admin',
      summary: `Give a ${one} another name`,
      query: dryRun,
      body: z.strictObject({ to: nameSchema }),
      answer,
      preview: previewShape,
    },
    ({ c, body, by, part }) => changed(c, { kind, name: nameOf(part), action: 'rename', to: body.to }, by, body.to),
  )
  add({ method: 'DELETE', path, right: 'admin', summary: `Remove a ${one}`, query: dryRun, preview: previewShape }, ({ c, by, part }) =>
    changed(c, { kind, name: nameOf(part), action: 'remove' }, by),
  )
  add(
    { method: 'GET', path: `${path}/history`, right: 'read', summary: `Who changed this ${one}, newest last`, answer: z.array(entryView) },
    ({ part }): readonly ChangeEntry[] =>
      editor.history(kind, kind === 'stations' ? (tryFind(records.current(), part(one))?.name ?? part(one)) : part(one)),
  )
}

/** Names that are known are changed, the others made. */
async function importStations(
  { records, editor }: ManageDeps,
  stations: readonly { name: string }[],
  by: string,
  isDryRun: boolean,
  profiles: readonly { name: string }[] = [],
): Promise<object> {
  // What only a line of a host file makes has no file yet.
  const isKnown = (kind: RecordKind, name: string): boolean => /\.ya?ml$/.test(records.placeOf(kind, name, []).file ?? '')
  const toChange =
    (kind: RecordKind) =>
    ({ name, ...value }: { name: string }): RecordChange =>
      isKnown(kind, name) ? { kind, name, action: 'change', patch: value } : { kind, name, action: 'create', value }
  const files = await editor.apply([...profiles.map(toChange('profiles')), ...stations.map(toChange('stations'))], by, { isDryRun })
  const made = files.filter(({ before }) => before === undefined).length
  return { made, changed: files.length - made, same: stations.length + profiles.length - files.length, ...(isDryRun && { dryRun: true, files }) }
}

function addNextRoutes(add: Add, deps: ManageDeps): void {
  const { records, next } = deps
  const ask = ({ profile, times, attempts, forSeconds, fallback }: z.output<typeof nextSchema>, by: string): NextAsk => {
    for (const name of [profile, fallback])
      if (name !== undefined && !records.current().profiles.has(name))
        throw new InputError('profile', sayNoProfile(records.current(), name), { path: 'profile' })
    return { profile, times, attemptsMax: attempts, forMs: forSeconds * 1000, ...(fallback && { fallback }), by }
  }
  const firstMac = (text: string): Mac => macsOf(records.current(), text)[0] as Mac
  add({ method: 'GET', path: '/next', right: 'read', summary: 'All orders for next boots', answer: z.array(nextView) }, () =>
    [...next.current()].map(([mac, order]) => viewNext(records.current(), mac, order)),
  )
  add(
    {
      method: 'POST',
      path: '/next',
      right: 'operate',
      summary: 'Order what stations boot next, all of them or none; only their call-back ends it',
      query: dryRun,
      body: nextSchema.extend({ stations: z.array(stationName).min(1).max(1000) }),
      answer: z.array(nextView),
    },
    async ({ c, body: { stations, ...wish }, by }) => {
      const macs = stations.map(firstMac)
      const order = ask(wish, by)
      if (c.req.query('dryRun') === 'true') return macs.map((mac) => viewNext(records.current(), mac, orderNext(order, Date.now())))
      await next.order(macs, order)
      return macs.map((mac) => viewNext(records.current(), mac, next.current().get(mac)))
    },
  )
  add(
    { method: 'DELETE', path: '/stations/:station/next', right: 'operate', summary: 'Take the order for the next boot away' },
    async ({ part, by }) => {
      if (!(await next.clear(macsOf(records.current(), part('station')), by)))
        throw new MissingError('next-missing', `nothing is ordered for ${part('station').slice(0, 64)}`)
    },
  )
}

function addTokenRoutes(add: Add, { marks }: ManageDeps): void {
  add({ method: 'GET', path: '/tokens', right: 'admin', summary: 'Operator tokens, without their texts', answer: z.array(tokenView) }, () =>
    listTokens(marks),
  )
  add(
    {
      method: 'POST',
      path: '/tokens',
      right: 'admin',
      summary: 'Make a token, in place of an older one of that name; its text is told only now',
      body: z.strictObject({ name: nameSchema, role: z.enum(roles).default('operate') }),
      answer: z.object({ name: z.string(), role: z.enum(roles), token: z.string() }),
      status: 201,
    },
    async ({ body: { name, role }, by }) => ({ name, role, token: await createToken(marks, { name, role, by }) }),
  )
  add({ method: 'DELETE', path: '/tokens/:name', right: 'admin', summary: 'Take a token away' }, async ({ part }) => {
    const name = part('name')
    const isLastAdmin = listTokens(marks)
      .filter((token) => token.role === 'admin' && token.name !== localName)
      .every((token) => token.name === name)
    if (isLastAdmin && listTokens(marks).some((token) => token.name === name && token.role === 'admin'))
      throw new InputError('token-last', `${name} is the last admin's token; make another first`)
    if (!(await revokeToken(marks, name))) throw new MissingError('token-missing', `there is no token ${name.slice(0, 64)}`)
  })
}

function tryFind(records: Records, text: string): Station | undefined {
  const mac = findMac(text)
  return mac ? records.stationByMac.get(mac) : records.stations.find(({ name }) => name === text)
}

/** The record of that name or MAC. Throws MissingError that says how to make one. */
function findStation(records: Records, text: string): Station {
  const station = tryFind(records, text)
  if (station) return station
  const mac = findMac(text)
  throw new MissingError(
    'station',
    mac ? `${mac} has no record; "bivouac station add NAME --mac ${mac}" makes one` : `there is no station "${text.slice(0, 64)}"`,
  )
}

/** All MACs of a station, or the one that was given: an unknown station may be given an order too. */
function macsOf(records: Records, text: string): readonly Mac[] {
  const station = tryFind(records, text)
  const mac = findMac(text)
  if (station) return station.macs
  if (mac) return [mac]
  throw new MissingError('station', `"${text.slice(0, 64)}" is neither a MAC address nor the name of a station`)
}

function viewStation({ records, next }: ManageDeps, name: string): unknown {
  const all = records.current()
  const record = findStation(all, name)
  const mac = record.macs.find((one) => next.current().has(one))
  return { name, record, profile: record.profile ?? '(by match or default)', next: mac ? viewNext(all, mac, next.current().get(mac)) : null }
}

function viewProfile(records: Records, { records: book }: ManageDeps, name: string): unknown {
  const record = records.profiles.get(name)
  if (!record) throw new MissingError('profile', sayNoProfile(records, name))
  const builtIn = !/\.ya?ml$/.test(book.placeOf('profiles', name, []).file ?? '')
  return { name, builtIn, record, stations: records.stations.filter(({ profile }) => profile === name).map((station) => station.name) }
}

function viewNext(records: Records, mac: Mac, order: NextBoot | undefined): unknown {
  if (!order) return null
  return { mac, station: records.stationByMac.get(mac)?.name ?? null, ...order, text: describeNext(order) }
}

const sayNoProfile = (records: Records, name: string): string =>
  `there is no profile "${name.slice(0, 64)}" (there are: ${[...records.profiles.keys()].sort().join(', ')})`
