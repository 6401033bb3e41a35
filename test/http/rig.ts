// The HTTP face built from plain objects: a door over a map, an event log in memory, a clock that stands still. For the tests of src/http.
import type { HttpBindings } from '@hono/node-server'
import type { Mac } from '../../src/boot/address.ts'
import type { Content } from '../../src/boot/content.ts'
import { MissingError } from '../../src/boot/error.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import { indexRecords, type Station, stationSchema } from '../../src/boot/record.ts'
import { createApp } from '../../src/http/app.ts'
import type { AppDeps } from '../../src/http/deps.ts'
import type { DoorRequest } from '../../src/station/visit.ts'
import type { Explanation } from '../../src/station/explain.ts'
import type { Lease } from '../../src/store/port.ts'
import type { Operator, Role } from '../../src/store/token.ts'
import { createEventRing } from '../../src/store/ring.ts'

export const token = 'bvc_right'
/** A token for each role; `token` is an admin's. */
export const tokens = { read: 'bvc_reader', operate: 'bvc_worker', admin: token } as const

export function findOperator(text: string): Operator | undefined {
  const role = (Object.keys(tokens) as Role[]).find((one) => tokens[one] === text)
  return role && { name: `${role}-token`, role }
}

export const startedAt = 1_700_000_000_000

/** Content that counts how often it was closed and how much was asked of it at once. */
export type Watched = Content & { readonly figures: { closed: number; reads: number; reading: number } }

export type ContentWish = {
  readonly etag?: string
  readonly type?: string
  readonly modifiedAt?: number
  /** `whole`: with the bytes in hand. `now`: read at once. `later`: read by promise. */
  readonly way?: 'whole' | 'now' | 'later'
  /** From this offset on reading fails; `short` answers nothing instead. */
  readonly failAt?: number
  readonly short?: boolean
}

export function makeContent(
  bytes: Uint8Array,
  { etag = 'tag1', type = 'application/octet-stream', modifiedAt, way = 'whole', failAt, short }: ContentWish = {},
): Watched {
  const figures = { closed: 0, reads: 0, reading: 0 }
  const readNow = (offset: number, length: number): Uint8Array => {
    figures.reads++
    if (figures.closed) throw new Error('read after close')
    if (failAt !== undefined && offset + length > failAt) {
      if (short) return new Uint8Array(0)
      throw new Error('the disk is gone')
    }
    return bytes.subarray(offset, offset + length)
  }
  const readLater = async (offset: number, length: number): Promise<Uint8Array> => {
    figures.reading++
    await new Promise((resolve) => setImmediate(resolve))
    try {
      return readNow(offset, length)
    } finally {
      figures.reading--
    }
  }
  return {
    sizeBytes: bytes.length,
    etag,
    type,
    ...(modifiedAt !== undefined && { modifiedAt }),
    ...(way === 'whole' && { whole: bytes }),
    read: way === 'later' ? readLater : readNow,
    close: () => {
      if (figures.reading) throw new Error('closed while reading')
      figures.closed++
    },
    figures,
  }
}

/** Bytes in which every position can be told from its neighbours. */
export function patternBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + (index >>> 8) * 7 + (index >>> 16)) & 255
  return bytes
}

export type RigOptions = {
  readonly files?: Record<string, () => Content>
  readonly isLate?: boolean
  readonly stations?: readonly Record<string, unknown>[]
  readonly leases?: readonly Lease[]
  readonly deps?: Partial<AppDeps>
}

export function createRig({ files = {}, isLate = false, stations = [], leases = [], deps = {} }: RigOptions = {}) {
  const clock = { now: startedAt }
  const asked: DoorRequest[] = []
  const done: { name: string; sentBytes: number }[] = []
  const faults: unknown[] = []
  const beats: (() => void)[] = []
  const events = createEventRing(20_000)
  const records = indexRecords(
    stations.map((one): Station => stationSchema.parse(one)),
    [],
    [],
  )
  const reloads = { count: 0 }
  const openNow = (request: DoorRequest) => {
    asked.push(request)
    const make = Object.hasOwn(files, request.name) ? files[request.name] : undefined
    if (!make) throw new MissingError('file', `no ${request.name}`)
    return { content: make(), done: (sentBytes: number) => void done.push({ name: request.name, sentBytes }) }
  }
  const all: AppDeps = {
    door: { open: isLate ? async (request) => openNow(request) : openNow },
    gate: { explain: async (mac, ask) => ({ mac, dhcp: [], ask }) as unknown as Explanation },
    store: { events },
    records: { current: () => records, problems: () => [], reload: async () => void reloads.count++ },
    leases: {
      findByMac: (mac) => leases.find((lease) => lease.mac === mac),
      findMac: (ip) => leases.find((lease) => lease.ip === ip)?.mac,
      list: () => leases as Lease[],
    },
    presence: { find: () => undefined },
    verifyToken: (text) => findOperator(text),
    status: () => ({ version: '1.2.3', startedAt, listening: [{ service: 'http', port: 8080 }], problems: [{ message: 'no loader' }] }),
    now: () => clock.now,
    emit: events.append,
    onFault: (error) => void faults.push(error),
    every: (_, run) => {
      beats.push(run)
      return () => void beats.splice(beats.indexOf(run), 1)
    },
    ...deps,
  }
  const seen = (): BootEvent[] => [...events.read({})]
  return { app: createApp(all), deps: all, clock, asked, done, faults, beats, events, seen, reloads }
}

/** What stands for Node's request where there is no socket: who calls, by which Host, from which address. */
export function callFrom(remoteAddress: string, headers: Record<string, string> = {}): Partial<HttpBindings> {
  const socket = { remoteAddress, localAddress: '10.9.0.1', localPort: 8080 }
  return { incoming: { socket, headers } as unknown as HttpBindings['incoming'] }
}

export const macA = '52:54:00:00:00:0a' as Mac
export const macB = '52:54:00:00:00:0b' as Mac
