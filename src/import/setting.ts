// Settings of an import put into the text of bivouac.yaml: lists are added to, what is said there stays, comments too. Pure; used by plan.
import { parse } from 'yaml'
import { InputError } from '../boot/error.ts'
import { type Patch, patchYaml } from '../store/yaml-edit.ts'

/** The new text, or undefined where nothing would change. What is there and says otherwise goes into `kept`. Throws InputError for a text that is no YAML. */
export function mergeSettings(text: string, wanted: Patch, file: string, kept: string[]): string | undefined {
  const patch = missing(readBlock(text, file), wanted, [], kept)
  if (!Object.keys(patch).length) return undefined
  const changed = patchYaml(text, patch, file)
  return changed === text ? undefined : changed
}

function readBlock(text: string, file: string): Record<string, unknown> {
  try {
    const value = parse(text, { maxAliasCount: 100 }) as unknown
    return isBlock(value) ? value : {}
  } catch (error) {
    throw new InputError('yaml', `not valid YAML: ${(error as Error).message.split('\n', 1)[0]}; mend it by hand first`, { file })
  }
}

const isBlock = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function missing(there: Record<string, unknown>, wanted: Patch, path: readonly string[], kept: string[]): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(wanted)) {
    const mine = there[key]
    if (mine === undefined || mine === null) patch[key] = value
    else if (isBlock(mine) && isBlock(value)) {
      const inner = missing(mine, value, [...path, key], kept)
      if (Object.keys(inner).length) patch[key] = inner
    } else if (Array.isArray(mine) && Array.isArray(value)) {
      const more = value.filter((one) => !mine.some((other) => isSameEntry(one, other)))
      if (more.length) patch[key] = [...mine, ...more]
    } else if (mine !== value) kept.push(`the setting ${[...path, key].join('.')} is there and says otherwise`)
  }
  return patch
}

/** Entries with a name are the same by it: ours is kept. */
const isSameEntry = (one: unknown, other: unknown): boolean =>
  isBlock(one) && isBlock(other) && one.name !== undefined ? one.name === other.name : JSON.stringify(one) === JSON.stringify(other)
