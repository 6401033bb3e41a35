// The journal of one station's overlay on disk: a line for each version, added durably. Used by history.
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, syncFolder } from '../store/atomic.ts'
import type { HistoryLine } from './history-entry.ts'

/** Lines as they stand in the file. */
export const encodeHistory = (lines: readonly HistoryLine[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/** For a file that is not there yet. */
export function emptyIfMissing(error: NodeJS.ErrnoException): string {
  if (codeOf(error) === 'ENOENT') return ''
  throw error
}

/** Adds a line, on the disk when this resolves. It begins on a line of its own, also behind one that a crash cut off. */
export async function appendHistory(path: string, line: HistoryLine): Promise<void> {
  const file = await open(path, 'a+', 0o600)
  try {
    const { size } = await file.stat()
    const last = Buffer.alloc(1)
    if (size > 0) await file.read(last, 0, 1, size - 1)
    const isTorn = size > 0 && last[0] !== 10
    await file.appendFile(`${isTorn ? '\n' : ''}${JSON.stringify(line)}\n`)
    await file.datasync()
    if (size === 0) await syncFolder(join(path, '..'))
  } finally {
    await file.close()
  }
}
