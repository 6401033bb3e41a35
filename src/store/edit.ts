// Changes stations and profiles in their YAML files: comments kept, checked before they are written, all files of one change or none,
// with the writer's name in a history. Used by the API, and by commands when no server runs.
import { join } from 'node:path'
import { z } from 'zod'
import { checkDrafts } from './edit-check.ts'
import { type ChangeEntry, type Draft, draftChange, type RecordChange } from './edit-draft.ts'
import { openJournal } from './journal.ts'
import type { RecordBook, RecordKind } from './record.ts'
import { type FileChange, openTransactions } from './transaction.ts'

/** One file before and after; undefined: not there. */
export type FileEdit = { readonly file: string; readonly before: string | undefined; readonly after: string | undefined }

export type RecordEditor = {
  /**
   * Carries out all changes or none (`isDryRun`: none, checked all the same) and answers which files they change; resolves when they are durable and in force. Throws InputError (MistakesError) for a record that would be
   * wrong, ConflictError for a name or MAC that another has, MissingError for a record that is not there or is no file.
   */
  readonly apply: (changes: readonly RecordChange[], by: string, options?: { readonly isDryRun?: boolean }) => Promise<readonly FileEdit[]>
  /** Newest last, at most `limit`. */
  readonly history: (kind?: RecordKind, name?: string, limit?: number) => readonly ChangeEntry[]
  readonly close: () => Promise<void>
}

export type EditorOptions = { readonly depot: string; readonly state: string; readonly records: RecordBook; readonly now: () => number }

const entrySchema = z.looseObject({ at: z.number(), by: z.string(), kind: z.enum(['stations', 'profiles']), name: z.string(), action: z.string() })
const maxHistory = 10_000

/** Opens the history and finishes what a crash left undone. Throws OutsideError when the disk refuses. */
export async function openEditor({ depot, state, records, now }: EditorOptions): Promise<RecordEditor> {
  const transactions = await openTransactions(join(state, 'intents'))
  const read = (value: unknown): ChangeEntry => entrySchema.parse(value) as unknown as ChangeEntry
  const { journal, entries } = await openJournal(join(state, 'changes.jsonl'), { sync: true, read, last: maxHistory })
  const known = [...entries]
  let running: Promise<unknown> = Promise.resolve()

  async function apply(changes: readonly RecordChange[], by: string, isDryRun: boolean): Promise<readonly FileEdit[]> {
    // What was edited by hand a moment ago is looked at too.
    await records.reload()
    const drafts: Draft[] = []
    const told: ChangeEntry[] = []
    for (const change of changes) told.push(await draftChange(depot, records, drafts, change, { at: now(), by }))
    checkDrafts(records, drafts)
    const edits = drafts.filter(({ text, before }) => text !== before).map(({ file, before, text }) => ({ file, before, after: text }))
    if (isDryRun) return edits
    await transactions.commit(
      edits.map(
        ({ file, after }): FileChange => (after === undefined ? { path: join(depot, file), gone: true } : { path: join(depot, file), bytes: after }),
      ),
    )
    await records.reload()
    known.push(...told)
    known.splice(0, known.length - maxHistory)
    await journal.append(told)
    return edits
  }

  return {
    apply(changes, by, { isDryRun = false } = {}) {
      const mine = running.then(() => apply(changes, by, isDryRun))
      running = mine.catch(() => undefined)
      return mine
    },
    history: (kind, name, limit = 200) =>
      known.filter((entry) => (!kind || entry.kind === kind) && (name === undefined || entry.name === name || entry.to === name)).slice(-limit),
    close: () => running.then(() => journal.close()),
  }
}
