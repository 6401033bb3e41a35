// What stations did, as values. Every door makes these; the store keeps them; the terminal, the live page and progress listen.
import type { Ipv4, Mac } from './address.ts'

/** The steps of one boot, in the order in which a station takes them. */
export const bootSteps = [
  'discover',
  'offer',
  'request',
  'ack',
  'loader',
  'script',
  'kernel',
  'initramfs',
  'overlay',
  'index',
  'package',
  'modloop',
  // Alpine's firstboot service fetches the keys last, in the default runlevel.
  'ssh-keys',
  'up',
] as const
export type BootStep = (typeof bootSteps)[number]

/** Everything that can be said of a station or a network: the steps, and what is out of the ordinary. */
export type EventKind =
  | BootStep
  | 'nak'
  | 'decline'
  | 'release'
  | 'inform'
  | 'pool-full'
  | 'no-loader'
  | 'script-offered'
  | 'script-refused'
  | 'overlay-missing'
  | 'overlay-broken'
  | 'overlay-refused'
  | 'saved'
  | 'save-refused'
  | 'mirror-synced'
  | 'mirror-stale'
  | 'mirror-failed'
  | 'nfs-opened'
  | 'nfs-closed'
  | 'file-missing'
  | 'transfer-failed'
  | 'malformed'
  | 'record-bad'
  | 'record-good'
  | 'power'
  | 'next-ordered'
  | 'next-done'
  | 'next-failed'
  | 'next-cleared'
  | 'stalled'
  | 'dropped'
  | 'started'
  | 'stopped'

/** `detail` holds small facts for people and machines: file, sizeBytes, durationMs, arch, reason. Never a secret. */
export type BootEvent = {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly kind: EventKind
  readonly mac?: Mac
  readonly ip?: Ipv4
  readonly network?: string
  readonly detail?: Readonly<Record<string, string | number | boolean>>
}

/** Where a door puts what it saw. Never throws, never waits. */
export type Emit = (event: BootEvent) => void
