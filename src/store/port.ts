// What the other rooms may ask of the store. Adapters live beside this file; test/contract runs one suite over each of them.
import type { Ipv4, Mac } from '../boot/address.ts'
import type { BootEvent } from '../boot/event.ts'

/** An address that a station holds, or that nobody may have for a while (`declined`). */
export type Lease = {
  readonly network: string
  readonly ip: Ipv4
  readonly mac: Mac
  readonly state: 'bound' | 'released' | 'declined'
  /** Seconds since 1970; Infinity for a lease without end. */
  readonly expiresAt: number
  readonly hostname?: string
  /** Client identifier (option 61) as hex, for people; never a key. */
  readonly clientId?: string
}

/** Leases that survive restarts. Held in memory by dhcp/leases; this is their durable copy, keyed by network and address. */
export interface LeaseStore {
  /** All leases, last written wins, in the order in which they were first written. */
  all(): readonly Lease[]
  /** Resolves when all of them are durable. Calls of one event-loop turn share one write and one sync. */
  put(leases: readonly Lease[]): Promise<void>
}

export type EventQuery = { readonly mac?: Mac; readonly since?: number; readonly kinds?: readonly string[]; readonly limit?: number }

/** The log of what stations did. Bounded in memory and on disk; appending never waits and never throws. */
export interface EventLog {
  append(event: BootEvent): void
  /** Newest events that fit, oldest first; at most `limit` (default 1000). */
  read(query: EventQuery): readonly BootEvent[]
  /** Calls the listener for each event from now on; returns the way to stop it. A listener that throws is dropped. */
  listen(listener: (event: BootEvent) => void): () => void
}

/** Small durable facts: operator tokens (hashed), one-shot marks. */
export interface MarkStore {
  get(key: string): string | undefined
  entries(prefix: string): readonly (readonly [key: string, value: string])[]
  /** `undefined` removes. Resolves when durable. */
  set(key: string, value: string | undefined): Promise<void>
}

export interface Store {
  readonly leases: LeaseStore
  readonly events: EventLog
  readonly marks: MarkStore
  /** Writes what is still buffered and closes the files. */
  close(): Promise<void>
}
