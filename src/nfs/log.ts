// What an NFS server says, kept in one file of bounded size, its last lines also in memory. Used by engine.
import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

export type NfsLog = { readonly path: string; readonly write: (line: string) => void; readonly tail: () => readonly string[] }

const maxBytes = 1024 * 1024
const tailLines = 50

/** Appends to the file; at a megabyte it becomes `<path>.1` and a new one begins. A disk that refuses costs the line, nothing else. */
export function createNfsLog(path: string): NfsLog {
  const tail: string[] = []
  let sizeBytes = sizeOf(path)
  const write = (line: string): void => {
    tail.push(line)
    if (tail.length > tailLines) tail.shift()
    try {
      if (sizeBytes > maxBytes) {
        renameSync(path, `${path}.1`)
        sizeBytes = 0
      }
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      appendFileSync(path, `${line}\n`, { mode: 0o600 })
      sizeBytes += Buffer.byteLength(line) + 1
    } catch {
      // The server goes on without its log.
    }
  }
  return { path, write, tail: () => tail }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}
