// One record file's text → a station or a profile, or every mistake in it. Used by store/record and by whoever checks a text before writing it.
import { basename } from 'node:path'
import type { z } from 'zod'
import type { Place } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { type Profile, profileSchema, type Station, stationSchema } from '../boot/record.ts'
import { checkValue, formatPath, type Mistake } from './mistake.ts'
import { readYaml, type YamlFile } from './yaml.ts'

export type ReadRecord<T> = { readonly value: T } | { readonly mistakes: readonly Mistake[] }

/** Which files of `stations/` and `profiles/` are records: not hidden ones, nor editors' copies. */
export const isRecordName = (name: string): boolean => /^[^.#].*\.ya?ml$/.test(name)

/** A station. Its name is the file's unless it says `name:`; one `mac:` may stand in place of `macs:`. `file` is as it is to be named in messages. */
export function readStation(text: string, file: string): ReadRecord<Station> {
  const outcome = readNamed(text, file, stationSchema, joinMacs)
  if (!('value' in outcome)) return { mistakes: outcome.mistakes.map(sayNoMac) }
  return { value: { ...outcome.value, macs: [...new Set(outcome.value.macs)] } }
}

/** Lore: the source document's `host tftpclient` has no hardware address, and so what it says holds for nobody. */
const sayNoMac = (mistake: Mistake): Mistake =>
  mistake.code === 'missing-key' && mistake.path === 'macs'
    ? { ...mistake, code: 'no-mac', message: 'a station without a MAC address would be nobody: give it mac: 52:54:00:12:34:56, or macs: with a list' }
    : mistake

/** A profile. Its name is the file's unless it says `name:`. */
export const readProfile = (text: string, file: string): ReadRecord<Profile> => readNamed(text, file, profileSchema, (raw) => raw)

/** Where a key of a record stands in the text of its file. */
export function placeIn(text: string, file: string, path: readonly PropertyKey[]): Place {
  const yaml = readYaml(text, file)
  if ('mistakes' in yaml) return { file, path: formatPath(path) }
  const written = path[0] === 'macs' && isBlock(yaml.value) && 'mac' in yaml.value ? ['mac'] : path
  return { file, line: yaml.lineOf(written), path: formatPath(written) }
}

type Raw = Readonly<Record<string, unknown>>

function readNamed<S extends z.ZodType>(text: string, file: string, schema: S, adapt: (raw: Raw) => Raw): ReadRecord<z.output<S>> {
  const yaml = readYaml(text, file)
  if ('mistakes' in yaml) return yaml
  const raw = isBlock(yaml.value) ? yaml.value : undefined
  if (raw?.mac !== undefined && raw.macs !== undefined)
    return { mistakes: [mistakeAt(yaml, file, ['mac'], 'mac-and-macs', 'give mac or macs, not both')] }
  const ownName = basename(file).replace(/\.ya?ml$/, '')
  const isNamed = raw !== undefined && 'name' in raw
  if (raw && !isNamed && !nameSchema.safeParse(ownName).success) {
    return {
      mistakes: [
        mistakeAt(
          yaml,
          file,
          [],
          'file-name',
          `"${ownName}" cannot be a record's name (letters, digits, dot, dash, underscore): rename the file or write name:`,
        ),
      ],
    }
  }
  const value = raw ? adapt(isNamed ? raw : { name: ownName, ...raw }) : yaml.value
  return checkValue(schema, value, (path) => {
    const written = raw?.mac !== undefined && path[0] === 'macs' ? ['mac'] : path
    return { file, line: yaml.lineOf(written), path: formatPath(written) }
  })
}

function joinMacs({ mac, ...rest }: Raw): Raw {
  return mac === undefined ? rest : { ...rest, macs: [mac] }
}

const isBlock = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value)

const mistakeAt = (yaml: YamlFile, file: string, path: readonly PropertyKey[], code: string, message: string): Mistake => ({
  code,
  message,
  file,
  line: yaml.lineOf(path),
  path: formatPath(path),
})
