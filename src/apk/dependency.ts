// One dependency as world files, indexes and packages write it: `name`, `name=1.2`, `name~1.2`, `!name`, `name@tag`. Used by closure.
// Throws only DecodeError.
import { DecodeError } from '../boot/error.ts'
import { matchesVersion, type VersionOperator, versionOperators } from './version.ts'

export type Dependency = {
  /** As it was written. */
  readonly text: string
  readonly name: string
  /** `!name`: must not be there. */
  readonly isConflict: boolean
  readonly operator?: VersionOperator
  readonly version?: string
  /** `name@tag`: from the repository with that tag. World files only. */
  readonly tag?: string
}

const pattern = /^(!?)([^<>=~@!\s]+)(?:@([A-Za-z0-9._-]+))?(?:([<>=~]+)([^<>=~\s][^<>=\s]*))?$/

/** Operators by what they hold: the order of the signs does not matter to apk, and `=~` is `~`. */
const operatorOf = (signs: string): VersionOperator | undefined => {
  const has = (sign: string): boolean => signs.includes(sign)
  const key = (['<', '>', '~'] as const).filter(has).join('') + (has('=') && !has('~') ? '=' : '')
  return versionOperators.find((one) => one === key)
}

/** Parses one word. Throws DecodeError `dependency-bad`. (apk-world(5)) */
export function parseDependency(text: string): Dependency {
  const [, conflict, name, tag, signs, version] = pattern.exec(text) ?? []
  const operator = signs === undefined ? undefined : operatorOf(signs)
  if (!name || (signs !== undefined && !operator)) throw new DecodeError('dependency-bad', `${JSON.stringify(text.slice(0, 80))} is no dependency`)
  return {
    text,
    name,
    isConflict: conflict === '!',
    ...(operator && version !== undefined && { operator, version }),
    ...(tag !== undefined && { tag }),
  }
}

/** The words of a world file, comments and empty lines left out. Nothing is parsed. */
export const splitWorld = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.replace(/#.*/, ''))
    .flatMap((line) => line.split(/\s+/))
    .filter(Boolean)

/**
 * Does something provided with this version ('' for a provide without one) fulfil the dependency? Conflicts are the caller's.
 * Lore: to apk a provide without a version is older than every version, so it fulfils `name` and `name<2` but not `name>1`.
 */
export const isFulfilled = ({ operator, version }: Dependency, provided: string): boolean =>
  !operator || version === undefined || matchesVersion(provided, operator, version)
