// The API of records: stations and profiles made, shown, changed, renamed, removed, imported. Called by manage; the rules are store/edit's.
import type { Context } from 'hono'
import { z } from 'zod'
import { MissingError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { profileSchema, type Records, stationSchema } from '../boot/record.ts'
import type { ChangeEntry, RecordChange } from '../store/edit-draft.ts'
import type { RecordKind } from '../store/record.ts'
import type { HttpEnv } from './caller.ts'
import { dryRun, previewShape } from './manage-dry-run.ts'
import { findStation, type ManageDeps, sayNoProfile, tryFind } from './manage-find.ts'
import { nextView, viewNext } from './manage-next.ts'
import { json, type RouteTable } from './route.ts'

/** A record's own keys: any of them, null takes one away. The record is checked as a whole by its schema before it is written. */
const patchSchema = z.record(z.string(), z.unknown())
const stationView = z.object({ name: z.string(), record: stationSchema, profile: z.string(), next: nextView.nullable() })
export const entryView = z.object({ at: z.number(), by: z.string(), kind: z.string(), name: z.string(), action: z.string() }).loose()

/** Adds the routes of one kind of record. */
export function addRecordRoutes({ add }: RouteTable, deps: ManageDeps, kind: RecordKind): void {
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
