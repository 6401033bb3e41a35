// The keys that the mirror trusts: `keys/*.pub` below its root, named as in `/etc/apk/keys`. Used by sync, verify, import and the pull-through.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parsePublicKey, type TrustedKeys } from '../apk/signature.ts'
import { InputError } from '../boot/error.ts'
import { listFolder } from './place.ts'

/** The folder of trusted keys below the mirror's root. */
export const keyFolder = 'keys'

/** A file name that a key may have: it becomes part of a tar member's name and of a URL. */
export const keyNamePattern = /^[A-Za-z0-9_][A-Za-z0-9._@+-]{0,119}\.pub$/

/** All trusted keys by file name. Throws InputError `key-bad` for a file that is no key. */
export async function readTrustedKeys(root: string): Promise<TrustedKeys> {
  const entries = await listFolder(join(root, keyFolder))
  const names = entries.filter((entry) => !entry.isDirectory() && keyNamePattern.test(entry.name)).map(({ name }) => name)
  const keys = await Promise.all(
    names.sort().map(async (name) => [name, parsePublicKey(join(root, keyFolder, name), await readFile(join(root, keyFolder, name)))] as const),
  )
  return new Map(keys)
}

/** The same, where nothing can be done without one. Throws InputError `mirror-keys`. */
export async function needTrustedKeys(root: string): Promise<TrustedKeys> {
  const keys = await readTrustedKeys(root)
  if (!keys.size)
    throw new InputError(
      'mirror-keys',
      `there is no trusted key in ${join(root, keyFolder)}: import a release (it brings Alpine's keys), or copy the .pub files of /etc/apk/keys of an Alpine that you trust`,
    )
  return keys
}
