// Leases as a journal: each change is one line, the newest line of an address counts. The durable copy of what dhcp/leases holds in memory.
import { basename } from 'node:path'
import { parseIpv4, parseMac } from '../boot/address.ts'
import { type CompactLimits, createCompactor } from './compact.ts'
import { openJournal } from './journal.ts'
import type { Lease, LeaseStore } from './port.ts'
import { type Report, reportBadLines } from './trouble.ts'

const states: ReadonlySet<unknown> = new Set<Lease['state']>(['bound', 'released', 'declined'])

/**
 * JSON of a journal line → lease; no end (JSON has no Infinity) is written as null. Throws when it is none. By hand, without a schema: a start
 * reads hundreds of thousands of lines.
 */
export function readLease(value: unknown): Lease {
  const { network, ip, mac, state, expiresAt, hostname, clientId } = (value ?? {}) as Record<string, unknown>
  if (typeof network !== 'string' || !network) throw new TypeError('no network')
  if (typeof ip !== 'string' || typeof mac !== 'string') throw new TypeError('no address')
  if (!states.has(state)) throw new TypeError(`no such state: ${String(state).slice(0, 20)}`)
  if (typeof expiresAt !== 'number' && expiresAt !== null) throw new TypeError('no end')
  return {
    network,
    ip: parseIpv4(ip),
    mac: parseMac(mac),
    state: state as Lease['state'],
    expiresAt: expiresAt ?? Number.POSITIVE_INFINITY,
    ...(typeof hostname === 'string' && { hostname }),
    ...(typeof clientId === 'string' && { clientId }),
  }
}

export const leaseKey = ({ network, ip }: Pick<Lease, 'network' | 'ip'>): string => `${network}/${ip}`

export type LeaseOptions = { readonly sync: boolean; readonly report: Report; readonly limits?: CompactLimits }

/** Opens the leases of a journal file. Throws OutsideError when the disk refuses. */
export async function openLeases(path: string, { sync, report, limits }: LeaseOptions): Promise<LeaseStore & { close(): Promise<void> }> {
  const opened = await openJournal(path, { sync, read: readLease })
  const { journal } = opened
  reportBadLines(basename(path), opened, report)
  const leases = new Map(opened.entries.map((lease) => [leaseKey(lease), lease]))
  const compactWhenDue = createCompactor(
    path,
    journal,
    () => [...leases.values()],
    () => leases.size,
    report,
    limits,
  )
  return {
    all: () => [...leases.values()],
    put(changed) {
      if (!changed.length) return Promise.resolve()
      for (const lease of changed) leases.set(leaseKey(lease), lease)
      const done = journal.append(changed)
      compactWhenDue()
      return done
    },
    close: journal.close,
  }
}
