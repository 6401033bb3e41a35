// Changes several files of one tree as one: after a crash at any moment either all of them are changed or none is. Used by store/edit and links of PXE Pilot.
// An intent is written and synced before the first file changes; the next start carries it out to its end.
import { mkdir, open, readdir, readFile, rename, rm, symlink, unlink } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative } from 'node:path'
import { z } from 'zod'
import { OutsideError } from '../boot/error.ts'
import { codeOf, diskError, draftPath, removeOldDrafts, syncFolder, writeAtomic } from './atomic.ts'

/** One file as it is to be: with these bytes, as a link to `target`, or gone. `path` is absolute. */
export type FileChange = { readonly path: string } & (
  | { readonly bytes: string | Uint8Array; readonly mode?: number }
  | { readonly target: string }
  | { readonly gone: true }
)

const intentSchema = z.object({ steps: z.array(z.object({ path: z.string(), draft: z.string().nullable() })) })
type Intent = z.infer<typeof intentSchema>

export type Transactions = {
  /** Makes all changes, or none. One after the other. Throws OutsideError `write-failed`; then nothing is changed. */
  readonly commit: (changes: readonly FileChange[]) => Promise<void>
}

/** `folder` keeps the intents; what an earlier process left undone there is done now. Throws OutsideError when the disk refuses. */
export async function openTransactions(folder: string): Promise<Transactions> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await finishIntents(folder)
  // An intent that was being written when the process was killed: nothing had begun.
  await removeOldDrafts(folder, Number.NEGATIVE_INFINITY, Date.now)
  let running: Promise<unknown> = Promise.resolve()
  return {
    commit(changes) {
      const mine = running.then(() => commit(folder, changes))
      running = mine.catch(() => undefined)
      return mine
    },
  }
}

async function commit(folder: string, changes: readonly FileChange[]): Promise<void> {
  if (!changes.length) return
  const drafts: string[] = []
  try {
    const steps: Intent['steps'] = []
    for (const change of changes) {
      const draft = 'gone' in change ? null : await writeDraft(change)
      if (draft !== null) drafts.push(draft)
      steps.push({ path: change.path, draft })
    }
    for (const parent of new Set(drafts.map(dirname))) await syncFolder(parent)
    const intent = join(folder, `${basename(draftPath('intent')).slice(1)}.json`)
    await writeAtomic(intent, JSON.stringify({ steps }))
    // From here on it is done, whatever happens: now, or at the next start.
    drafts.length = 0
    await finish(intent, { steps })
  } catch (error) {
    for (const draft of drafts) await unlink(draft).catch(() => undefined)
    throw diskError(changes[0]?.path ?? folder, error)
  }
}

async function writeDraft(change: Exclude<FileChange, { gone: true }>): Promise<string> {
  await mkdir(dirname(change.path), { recursive: true })
  const draft = draftPath(change.path)
  if ('target' in change) await symlink(change.target, draft)
  else {
    const file = await open(draft, 'wx', change.mode ?? 0o644)
    try {
      await file.writeFile(change.bytes)
      await file.sync()
    } finally {
      await file.close()
    }
  }
  return draft
}

/** Can be done any number of times: a draft that is gone has been put in its place already. */
async function finish(intent: string, { steps }: Intent): Promise<void> {
  for (const { path, draft } of steps) {
    if (draft === null) await rm(path, { force: true })
    else await rename(draft, path).catch(ignoreAbsence)
  }
  for (const parent of new Set(steps.map(({ path }) => dirname(path)))) await syncFolder(parent).catch(ignoreAbsence)
  await unlink(intent)
}

function ignoreAbsence(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error
}

async function finishIntents(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.json') || name.startsWith('.')) continue
    const intent = join(folder, name)
    await finish(intent, readIntent(intent, await readFile(intent, 'utf8')))
  }
}

/** Its drafts lie beside the files they replace: an intent that says otherwise is none of ours. */
function readIntent(path: string, text: string): Intent {
  try {
    const intent = intentSchema.parse(JSON.parse(text))
    const isOurs = intent.steps.every((step) => isAbsolute(step.path) && (step.draft === null || isBeside(step.draft, step.path)))
    if (isOurs) return intent
  } catch {
    // Told below.
  }
  throw new OutsideError('intent-bad', `${path} cannot be understood; look at it and delete it`, false)
}

const isBeside = (draft: string, path: string): boolean => relative(dirname(path), draft) === basename(draft)
