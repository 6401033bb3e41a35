// Sets `release:` in a profile's file, or gives a station a profile of its own for it; comments and order stay. Called by the command.
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isMap, isScalar, parseDocument } from 'yaml'
import { InputError } from '../boot/error.ts'
import { codeOf, writeAtomic } from '../store/atomic.ts'
import { MistakesError } from '../store/mistake.ts'
import { readProfile, readStation } from '../store/record-file.ts'

/** One file that is written anew. `before` is undefined for one that was not there. Paths are below the depot. */
export type Edit = { readonly file: string; readonly before: string | undefined; readonly after: string }

type Kind = 'profiles' | 'stations'

async function readRecord(depot: string, kind: Kind, name: string): Promise<{ file: string; text: string | undefined }> {
  for (const ending of ['yaml', 'yml']) {
    const file = `${kind}/${name}.${ending}`
    const text = await readFile(join(depot, file), 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    })
    if (text === undefined) continue
    // What is wrong already is told as it stands, not as we would write it.
    checked(kind, file, text, text)
    return { file, text }
  }
  return { file: `${kind}/${name}.yaml`, text: undefined }
}

/**
 * The profile's file with this release; one of a built-in profile is made when it is not there. Throws InputError `profile-kind` for a profile that boots no Alpine,
 * `boot-files` for one that names single files, MistakesError for a file that is wrong before or after.
 */
export async function editProfile(depot: string, name: string, release: string): Promise<Edit> {
  const { file, text } = await readRecord(depot, 'profiles', name)
  const document = parseDocument(text ?? 'kind: alpine\n')
  if (!isMap(document.contents)) throw new InputError('profile-kind', 'is no profile', { file })
  const kind: unknown = document.get('kind')
  if (kind !== 'alpine') throw new InputError('profile-kind', `is of kind ${String(kind)}: only a profile of kind alpine has a release`, { file })
  const single = ['kernel', 'initramfs', 'modloop'].find((key) => document.has(key))
  if (single)
    throw new InputError('boot-files', `names ${single} itself, which goes before a release: take kernel, initramfs and modloop out first`, {
      file,
      path: single,
    })
  return checked('profiles', file, text, withKey(text, document, 'release', release))
}

/** The station's file with this profile. Throws MistakesError as above, InputError `station` when there is no such file. */
export async function editStation(depot: string, name: string, profile: string): Promise<Edit> {
  const { file, text } = await readRecord(depot, 'stations', name)
  if (text === undefined) throw new InputError('station', `there is no station ${name} (${file})`)
  return checked('stations', file, text, withKey(text, parseDocument(text), 'profile', profile))
}

/** A profile of this name that is as the other, but for its release. Undefined `text`: the built-in one. */
export async function copyProfile(depot: string, from: string, to: string, release: string): Promise<Edit> {
  const { text } = await readRecord(depot, 'profiles', from)
  const there = await readRecord(depot, 'profiles', to)
  if (there.text !== undefined) return editProfile(depot, to, release)
  const document = parseDocument(text ?? 'kind: alpine\n')
  // It is the station's alone: what matches others would make it theirs.
  for (const key of ['match', 'priority', 'name']) document.delete(key)
  document.set('release', release)
  return checked('profiles', there.file, undefined, String(document))
}

/** The line is replaced where it stands, a commented one goes with what it said; everything else stays to the byte where that can be. */
function withKey(text: string | undefined, document: ReturnType<typeof parseDocument>, key: string, value: string): string {
  const line = `${key}: ${value}`
  if (text !== undefined && document.errors.length === 0 && !document.has(key)) {
    const commented = new RegExp(`^# *${key}:[^\\n]*$`, 'm')
    if (commented.test(text)) return text.replace(commented, (found) => `${line}${/\s+#.*$/.exec(found.slice(1))?.[0] ?? ''}`)
    if (!text.trimStart().startsWith('{')) return `${text}${text.endsWith('\n') || !text ? '' : '\n'}${line}\n`
  }
  const node = text !== undefined && document.errors.length === 0 ? document.get(key, true) : undefined
  if (text !== undefined && isScalar(node) && node.range) return text.slice(0, node.range[0]) + value + text.slice(node.range[1])
  document.set(key, value)
  return String(document)
}

function checked(kind: Kind, file: string, before: string | undefined, after: string): Edit {
  const outcome = kind === 'profiles' ? readProfile(after, file) : readStation(after, file)
  if ('mistakes' in outcome) throw new MistakesError(`${file} is wrong`, outcome.mistakes)
  return { file, before, after }
}

/** Writes what changed, each file at once. Answers the paths that were written. */
export async function applyEdits(depot: string, edits: readonly Edit[]): Promise<string[]> {
  const changed = edits.filter(({ before, after }) => before !== after)
  for (const { file, after } of changed) {
    await mkdir(dirname(join(depot, file)), { recursive: true })
    await writeAtomic(join(depot, file), after, 0o644)
  }
  return changed.map(({ file }) => file)
}
