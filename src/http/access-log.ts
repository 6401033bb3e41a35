// The access log of the packages server: one JSON line per request, never more than a few files of a few megabytes. Called by server.
// It never holds up a request: what the disk is too slow for is left out and counted.
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf, diskError } from '../store/atomic.ts'
import { createAppender, type Target } from '../store/appender.ts'

/** One request. `at` is milliseconds since 1970, `sentBytes` of the body. */
export type AccessLine = {
  readonly at: number
  readonly ip: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly sentBytes: number
  readonly ms: number
  /** The connection ended before the body was out. */
  readonly cut?: true
}

export type AccessLog = {
  readonly append: (line: AccessLine) => void
  readonly figures: () => { readonly path: string; readonly sizeBytes: number; readonly leftOut: number }
  readonly close: () => Promise<void>
}

export type AccessLogOptions = {
  readonly path: string
  readonly maxBytes?: number
  /** Older files that stay: `access.log.1` is the newest of them. */
  readonly keep?: number
}

/** Opens the log and goes on where it ended. Rejects with OutsideError `write-failed`. */
export async function openAccessLog({ path, maxBytes = 8 * 1024 * 1024, keep = 3 }: AccessLogOptions): Promise<AccessLog> {
  const first = await openTarget(path)
  const appender = createAppender(first, { path, sync: false, maxBacklogBytes: 1024 * 1024 })
  let leftOut = 0
  let isTurning = false
  let isClosed = false

  async function turn({ file }: Target): Promise<Target> {
    for (let age = keep; age > 0; age--) await rename(age === 1 ? path : `${path}.${age - 1}`, `${path}.${age}`).catch(passMissing)
    const next = await openTarget(path)
    await file.close()
    return next
  }

  function watchSize(): void {
    if (isTurning || isClosed || appender.figures().sizeBytes < maxBytes) return
    isTurning = true
    const done = () => {
      isTurning = false
    }
    appender.exclusively(turn).then(done, done)
  }

  return {
    append: (line) => {
      appender.append([line]).then(watchSize, () => {
        leftOut++
      })
    },
    figures: () => ({ path, sizeBytes: appender.figures().sizeBytes, leftOut }),
    close: () => {
      isClosed = true
      return appender.exclusively(async ({ file }) => {
        await file.close()
        return undefined
      })
    },
  }
}

function passMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error
}

/** Open for appending; a last line that a crash cut is ended. */
async function openTarget(path: string): Promise<Target> {
  try {
    await mkdir(dirname(path), { recursive: true })
    const file = await open(path, 'a+', 0o640)
    const { size } = await file.stat()
    const added = size > 0 && (await lastByte(file, size)) !== 10 ? (await file.write('\n')).bytesWritten : 0
    return { file, sizeBytes: size + added, lines: 0 }
  } catch (error) {
    throw diskError(path, error)
  }
}

async function lastByte(file: FileHandle, size: number): Promise<number | undefined> {
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
  return buffer[0]
}
