// What each part that opens a door is given, and what it leaves behind: its socket's place, its warnings, its closer.
// Used by server.ts and by every part that opens something.
import type { Emit } from '../boot/event.ts'
import type { Config } from '../config.ts'
import type { AppDeps } from '../http/deps.ts'
import type { ManageDeps } from '../http/manage-find.ts'
import type { IpxeTools } from '../ipxe/tools.ts'
import type { Nfs } from '../nfs/phase.ts'
import type { Store } from '../store/port.ts'
import type { RecordBook } from '../store/record.ts'
import type { PackageService } from './packages.ts'
import type { Rooms } from './room.ts'

/** One socket that is open, for people and the API. */
export type Listening = {
  readonly service: 'http' | 'packages' | 'tftp' | 'dhcp' | 'pilot'
  readonly address: string
  readonly port: number
  readonly network?: string
  readonly mode?: 'server' | 'proxy'
}

/** What closes one thing that was opened; run in the reverse order of opening. */
export type Closers = (() => unknown)[]

/** Made once by server.ts; `warnings`, `listening` and `closers` grow as doors open. */
export type Doors = {
  readonly config: Config
  readonly rooms: Rooms
  readonly ipxe: IpxeTools
  readonly nfs: Nfs
  readonly packages: PackageService
  readonly store: Store
  readonly records: RecordBook
  readonly manage: ManageDeps
  readonly emit: Emit
  readonly warnings: string[]
  readonly listening: Listening[]
  readonly closers: Closers
  readonly status: AppDeps['status']
  readonly onFault: (error: unknown) => void
}

/** Runs all of them, the last one first, whatever fails: a full disk must leave no door open. Then throws the first failure. */
export async function closeAll(closers: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers.toReversed()) {
    try {
      await close()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length) throw failures[0]
}
