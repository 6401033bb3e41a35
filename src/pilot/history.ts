// Who gave which host which configuration, and when: a journal of deploys. Used by PXE Pilot's interface.
import { z } from 'zod'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openJournal } from '../store/journal.ts'
import type { PilotChange } from './service.ts'

const schema = z.object({ at: z.number(), host: z.string(), configuration: z.string(), by: z.string() })
const kept = 10_000

export type PilotHistory = {
  readonly append: (changes: readonly PilotChange[]) => Promise<void>
  /** Of one host, newest last. */
  readonly of: (host: string) => readonly PilotChange[]
  readonly close: () => Promise<void>
}

/** Opens or makes it. Throws OutsideError when the disk refuses. */
export async function openPilotHistory(path: string): Promise<PilotHistory> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const { journal, entries } = await openJournal(path, { sync: true, read: (value) => schema.parse(value), last: kept })
  const known: PilotChange[] = [...entries]
  return {
    async append(changes) {
      known.push(...changes)
      known.splice(0, known.length - kept)
      await journal.append(changes)
    },
    of: (host) => known.filter((change) => change.host === host).slice(-200),
    close: journal.close,
  }
}
