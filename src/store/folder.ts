// The files of one record folder (`stations/`, `profiles/`): read when they changed, the last good reading kept. Used by store/record.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from './atomic.ts'
import type { Finding, Mistake } from './mistake.ts'
import { isRecordName, type ReadRecord } from './record-file.ts'
import { maxYamlBytes } from './yaml.ts'

/** One file: `record` is its last good reading, `text` what that was read from, `mistakes` what is wrong with it now. `file` is below the depot. */
export type RecordFile<T> = {
  readonly file: string
  readonly signature: string
  readonly text: string
  readonly record?: T
  readonly mistakes: readonly Mistake[]
}

export interface FolderReader<T> {
  /** Looks at every file; answers whether a reading changed. Forced, it reads unchanged files too. Never throws. */
  scan(isForced: boolean): Promise<boolean>
  /** Files in force, in the order of their names. */
  files(): readonly (RecordFile<T> & { readonly record: T })[]
  problems(): readonly Finding[]
  /** Changes when the file may have changed; undefined for files of other folders. */
  signatureOf(file: string): string | undefined
}

const maxFiles = 20_000

export function createFolderReader<T>(depot: string, folder: string, read: (text: string, file: string) => ReadRecord<T>): FolderReader<T> {
  let files = new Map<string, RecordFile<T>>()
  let failed: Finding | undefined

  async function scanFile(name: string, isForced: boolean): Promise<RecordFile<T> | undefined> {
    const file = `${folder}/${name}`
    const before = files.get(file)
    try {
      const found = await stat(join(depot, file), { bigint: true })
      if (!found.isFile()) return undefined
      const signature = [found.mtimeNs, found.ctimeNs, found.size, found.ino].join('/')
      if (before && before.signature === signature && !isForced) return before
      const text = found.size > maxYamlBytes ? ' '.repeat(maxYamlBytes + 1) : await readFile(join(depot, file), 'utf8')
      return settle(before, file, signature, text, read(text, file))
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      const mistakes = [{ code: 'file-unreadable', message: `cannot be read: ${(error as Error).message}`, file }]
      return { file, signature: codeOf(error), text: before?.text ?? '', ...(before?.record !== undefined && { record: before.record }), mistakes }
    }
  }

  async function listNames(): Promise<string[]> {
    try {
      return (await readdir(join(depot, folder))).filter(isRecordName).sort()
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return []
      throw error
    }
  }

  return {
    async scan(isForced) {
      const before = files
      try {
        const names = await listNames()
        const next = new Map<string, RecordFile<T>>()
        for (const name of names.slice(0, maxFiles)) {
          const entry = await scanFile(name, isForced)
          if (entry) next.set(entry.file, entry)
        }
        failed =
          names.length > maxFiles ? problem('too-many-files', `${names.length} files; those after the first ${maxFiles} are passed over`) : undefined
        files = next
      } catch (error) {
        failed = problem('folder-unreadable', `cannot be read, the records read before stay in force: ${(error as Error).message}`)
      }
      return files.size !== before.size || [...files].some(([file, entry]) => before.get(file) !== entry)
    },
    files: () => [...files.values()].filter(isInForce),
    problems: () => [
      ...(failed ? [failed] : []),
      ...[...files.values()].flatMap(({ mistakes }) => mistakes.map((mistake) => ({ ...mistake, severity: 'error' as const }))),
    ],
    signatureOf: (file) => files.get(file)?.signature,
  }

  function problem(code: string, message: string): Finding {
    return { code, message, severity: 'error', file: folder }
  }
}

const isInForce = <T>(entry: RecordFile<T>): entry is RecordFile<T> & { readonly record: T } => entry.record !== undefined

/** A good reading replaces the one before; a bad one leaves it in force. */
function settle<T>(before: RecordFile<T> | undefined, file: string, signature: string, text: string, outcome: ReadRecord<T>): RecordFile<T> {
  if ('value' in outcome) return { file, signature, text, record: outcome.value, mistakes: [] }
  return { file, signature, text: before?.text ?? '', ...(before?.record !== undefined && { record: before.record }), mistakes: outcome.mistakes }
}
