// Secrets of layers: files below `secrets/` of the depot, the station's own folder first. Read by the composer, for templates and `secret:`.
// What they hold goes into the overlay of the station that asks, and nowhere else: no log, no listing, no error.
import { constants, readFileSync, openSync, closeSync, fstatSync, realpathSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { InputError, MissingError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { identityOf, isSettled } from '../store/version.ts'

export type Secrets = {
  /** The bytes of a secret. Throws MissingError `secret-missing`, InputError for a bad name or a file that cannot be one. */
  readonly bytes: (name: string) => Uint8Array
  /** The same as text, without the line end that editors put last. */
  readonly text: (name: string) => string
}

const maxBytes = 64 * 1024
const maxEntries = 2000

/** The secrets that a station may use. `station` is its record's name. Read at once: templates do not wait. */
export function openSecrets(depot: string, station: string | undefined): Secrets {
  const home = join(depot, 'secrets')

  function bytes(name: string): Uint8Array {
    if (!nameSchema.safeParse(name).success)
      throw new InputError('secret-name', `${JSON.stringify(String(name).slice(0, 64))} cannot be the name of a secret`)
    const places = [...(station !== undefined ? [join(station, name)] : []), name]
    for (const place of places) {
      const found = readInside(home, place)
      if (found) return found
    }
    throw new MissingError(
      'secret-missing',
      `there is no secret ${name}: put it into ${places.map((place) => `secrets/${place}`).join(' or ')} of the depot`,
    )
  }

  return { bytes, text: (name) => new TextDecoder().decode(bytes(name)).replace(/\r?\n$/, '') }
}

function readInside(home: string, place: string): Uint8Array | undefined {
  let path: string
  try {
    path = realpathSync(join(home, place))
    if (!path.startsWith(realpathSync(home) + sep)) throw new InputError('secret-file', `secrets/${place} leads out of secrets/`)
  } catch (error) {
    if (error instanceof InputError) throw error
    return undefined
  }
  let file: number | undefined
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = fstatSync(file)
    if (stats.isDirectory()) return undefined
    if (!stats.isFile() || stats.size > maxBytes) throw new InputError('secret-file', `secrets/${place} is no file of at most ${maxBytes} bytes`)
    return readFileSync(file)
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new InputError('secret-file', `secrets/${place} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'failed'}`)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** What the secrets of a station are now: another text whenever one of them may have changed. Their names and bytes are not in it. */
export async function lookSecrets(
  depot: string,
  station: string | undefined,
  now: () => number,
): Promise<{ readonly fingerprint: string; readonly isSettled: boolean }> {
  const parts: string[] = []
  let settled = true
  for (const folder of ['', ...(station !== undefined ? [station] : [])]) {
    const path = join(depot, 'secrets', folder)
    const names = (await readdir(path).catch(() => [])).sort().slice(0, maxEntries)
    for (const name of names) {
      const checkedAt = now()
      const stats = await stat(join(path, name), { bigint: true }).catch(() => undefined)
      if (!stats || stats.isDirectory()) continue
      parts.push(`${folder}/${name} ${identityOf(stats)}`)
      settled &&= isSettled(stats, checkedAt)
    }
  }
  return { fingerprint: parts.join('\n'), isSettled: settled }
}
