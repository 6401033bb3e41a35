// The store in a folder of its own (`state/`): leases, events and marks as journals. Opened by server.ts and by commands that run without a server.
import { chmod, mkdir, readdir, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { BivouacError, InputError, OutsideError } from '../boot/error.ts'
import { codeOf } from './atomic.ts'
import { type EventLimits, openEvents } from './event.ts'
import { openLeases } from './lease.ts'
import { takeLock } from './lock.ts'
import { openMarks } from './mark.ts'
import type { Store } from './port.ts'
import type { Report, Trouble } from './trouble.ts'

export type StoreOptions = {
  /** Leases are on the disk, not only with the kernel, when `put` resolves. */
  readonly sync: boolean
  readonly now: () => number
  readonly limits?: Partial<EventLimits>
}

/**
 * Opens the store, making the folder (mode 0700) and its files (0600) where they are absent. What was found wrong and set aside becomes
 * `record-bad` events. Throws ConflictError `state-locked`, InputError `state-folder` (no permission), OutsideError when the disk refuses.
 */
export async function openStore(folder: string, options: StoreOptions): Promise<Store> {
  await makeFolder(folder)
  const unlock = await takeLock(folder).catch((error: unknown) => {
    throw folderError(folder, error)
  })
  try {
    await removeDrafts(folder)
    return await openFiles(folder, options, unlock)
  } catch (error) {
    await unlock()
    throw error
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 })
    if (made) await chmod(folder, 0o700)
  } catch (error) {
    throw folderError(folder, error)
  }
}

function folderError(folder: string, error: unknown): BivouacError {
  if (error instanceof BivouacError) return error
  const allowed = 'give a folder that this user may write (--state)'
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(codeOf(error))) {
    return new InputError('state-folder', `the state folder ${folder} cannot be used: ${(error as Error).message}; ${allowed}`, {}, { cause: error })
  }
  return new OutsideError('write-failed', `the state folder ${folder} cannot be used: ${(error as Error).message}`, false, { cause: error })
}

/** Half-made files of a rewrite that a crash cut short; not the locks that others are just making. */
async function removeDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (/^\.(?!lock\.).*\.tmp$/.test(name)) await unlink(join(folder, name))
}

async function openFiles(folder: string, { sync, now, limits }: StoreOptions, unlock: () => Promise<void>): Promise<Store> {
  const early: Trouble[] = []
  let report: Report = (trouble) => void early.push(trouble)
  const relay = (trouble: Trouble) => report(trouble)
  const opened: { close(): Promise<void> }[] = []
  const keep = <T extends { close(): Promise<void> }>(part: T): T => {
    opened.push(part)
    return part
  }
  const closeAll = async () => {
    const failed = (await Promise.allSettled(opened.map((part) => part.close()))).find(({ status }) => status === 'rejected')
    await unlock()
    if (failed?.status === 'rejected') throw failed.reason
  }
  try {
    const leases = keep(await openLeases(join(folder, 'leases.jsonl'), { sync, report: relay }))
    const marks = keep(await openMarks(join(folder, 'marks.jsonl'), relay))
    const events = keep(await openEvents(join(folder, 'events.jsonl'), { now, report: relay, ...(limits && { limits }) }))
    report = (trouble) => events.append({ at: now(), kind: 'record-bad', detail: { ...trouble, file: `${basename(folder)}/${trouble.file}` } })
    for (const trouble of early) report(trouble)
    let closing: Promise<void> | undefined
    return {
      leases,
      marks,
      events,
      close: () => {
        closing ??= closeAll()
        return closing
      },
    }
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()))
    throw error
  }
}
