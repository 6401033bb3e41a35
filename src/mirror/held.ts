// Which folders are kept by sync, import or as snapshots: their index is switched only together with their packages. Asked by the pull-through.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { contentsName } from './contents.ts'

const believedMs = 2_000
const namesMax = 1_000

/** Answers `isHeld(folder)` for folders below the root, such as `v3.22/main/x86_64`; the disk is asked at most every two seconds for each. */
export function createHeld(root: string, now: () => number): (folder: string) => boolean {
  const known = new Map<string, { readonly at: number; readonly isHeld: boolean }>()
  return (folder) => {
    const before = known.get(folder)
    const age = before ? now() - before.at : Number.NaN
    if (before && age >= 0 && age < believedMs) return before.isHeld
    const isHeld = existsSync(join(root, folder, contentsName))
    if (known.size >= namesMax) known.clear()
    known.set(folder, { at: now(), isHeld })
    return isHeld
  }
}
