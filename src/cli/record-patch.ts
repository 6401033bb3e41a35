// Words of a command line that say what of a record changes: `key=value`, `label-`. Used by the commands of stations and profiles.
import { parse } from 'yaml'
import { InputError } from '../boot/error.ts'

/** `room=a12`, `floor-` → labels with null for those that go. Throws InputError. */
export function labelsOf(changes: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(
    changes.map((change) => {
      const [, key, value, gone] = /^([A-Za-z0-9][A-Za-z0-9_.-]*?)(?:=(.*)|(-))$/s.exec(change) ?? []
      if (key === undefined) throw new InputError('label', `"${change}" is neither key=value nor key-`)
      return [key, gone ? null : (value ?? '')]
    }),
  )
}

/** `labels.room=a12` → `{ labels: { room: 'a12' } }`. Throws InputError. */
export function patchOf(keys: readonly string[]): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const text of keys) {
    const [, key = '', value = ''] = /^([A-Za-z0-9_.-]+)=(.*)$/s.exec(text) ?? []
    if (!key) throw new InputError('key', `"${text}" is not of the form key=value`)
    const path = key.split('.')
    const last = path.pop() as string
    let inner = patch
    for (const part of path) {
      inner[part] ??= {}
      inner = inner[part] as Record<string, unknown>
    }
    inner[last] = value === '' ? null : readValue(value, key)
  }
  return patch
}

function readValue(text: string, key: string): unknown {
  try {
    const value = parse(text) as unknown
    // Lore: YAML takes a MAC of digits for a number to the base of sixty, and a version such as 3.10 for 3.1: what changes when written again was meant as text.
    return typeof value === 'number' && String(value) !== text ? text : value
  } catch (error) {
    throw new InputError('value', `${key}: not a YAML value: ${(error as Error).message.split('\n', 1)[0]}`)
  }
}
