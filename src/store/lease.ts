// Leases as a journal: each change is one line, the newest line of an address counts. The durable copy of what dhcp/leases holds in memory.
import { basename } from 'node:path'
import { z } from 'zod'
import { ipv4Schema, macSchema, nameSchema } from '../boot/record.ts'
import { type CompactLimits, createCompactor } from './compact.ts'
import { openJournal } from './journal.ts'
import type { Lease, LeaseStore } from './port.ts'
import { type Report, reportBadLines } from './trouble.ts'

// JSON has no Infinity: a lease without end is written as null.
const leaseSchema = z.object({
  network: nameSchema,
  ip: ipv4Schema,
  mac: macSchema,
  state: z.enum(['bound', 'released', 'declined']),
  expiresAt: z.number().nullable(),
  hostname: z.string().optional(),
  clientId: z.string().optional(),
})

/** JSON of a journal line → lease. Throws when it is none. */
export function readLease(value: unknown): Lease {
  const { expiresAt, hostname, clientId, ...rest } = leaseSchema.parse(value)
  return {
    ...rest,
    expiresAt: expiresAt ?? Number.POSITIVE_INFINITY,
    ...(hostname !== undefined && { hostname }),
    ...(clientId !== undefined && { clientId }),
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
