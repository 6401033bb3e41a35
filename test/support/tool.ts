// Tests that need programs of the system, or root: they skip aloud where something is missing, and fail instead where it must be there.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, it } from 'vitest'

const folders = [...new Set([...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin'])]

const isThere = (path: string, mode = constants.X_OK): boolean => {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}

/** Those of the names that are no program here. `root` stands for running as root; a name with a slash is a file to be read. */
export function missingTools(...names: string[]): string[] {
  return names.filter((name) => {
    if (name === 'root') return process.getuid?.() !== 0
    return name.includes('/') ? !isThere(name, constants.R_OK) : !folders.some((folder) => isThere(join(folder, name)))
  })
}

/** A `describe` that needs tools: skipped with their names in the title, or failing when BIVOUAC_REQUIRE_TOOLS is 1. */
export function describeWith(tools: string[], name: string, body: () => void): void {
  const missing = missingTools(...tools)
  if (!missing.length) {
    describe(name, body)
  } else if (process.env.BIVOUAC_REQUIRE_TOOLS === '1') {
    describe(name, () => {
      it('has its tools', () => {
        throw new Error(`missing: ${missing.join(', ')}`)
      })
    })
  } else {
    describe.skip(`${name} (SKIPPED: missing ${missing.join(', ')})`, body)
  }
}
