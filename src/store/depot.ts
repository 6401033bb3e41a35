// The depot's releases as they are read again and again, and the alarm for a depot that went away. Used by store/record.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Finding } from './mistake.ts'
import { type ReleaseScan, scanReleases } from './release.ts'

/** The releases found last; a disk that fails leaves them in force. */
export function createReleaseReader(depot: string) {
  let last: ReleaseScan = { releases: [], mistakes: [], folders: [] }
  let failed: Finding | undefined
  return {
    last: () => last,
    problems: () => (failed ? [failed] : []),
    async scan(): Promise<boolean> {
      const before = JSON.stringify(last)
      try {
        last = await scanReleases(depot)
        failed = undefined
      } catch (error) {
        failed = {
          code: 'folder-unreadable',
          message: `cannot be read, the releases found before stay in force: ${(error as Error).message}`,
          severity: 'error',
          file: 'releases',
        }
      }
      return JSON.stringify(last) !== before
    },
  }
}

/** A mount that went away leaves an empty folder of another device, or none: then nothing is taken for removed. */
export function createLossWatch(depot: string, look: (path: string) => Promise<{ dev: number }> = stat): () => Promise<Finding | undefined> {
  let home: number | undefined
  const find = (path: string) => look(path).catch(() => undefined)
  return async () => {
    const found = await find(depot)
    if (home === undefined || found?.dev === home) {
      home = found?.dev
      return undefined
    }
    const hasRecords = (await find(join(depot, 'stations'))) ?? (await find(join(depot, 'profiles')))
    if (found && hasRecords) {
      home = found.dev
      return undefined
    }
    return {
      code: 'depot-lost',
      message: `the depot ${depot} is gone (a lost mount?); the records read before stay in force`,
      severity: 'error',
      file: depot,
    }
  }
}
