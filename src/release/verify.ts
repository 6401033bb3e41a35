// Recomputes the digests of a release's files. Called by the command; it changes nothing.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../store/atomic.ts'
import { manifestName } from '../store/manifest.ts'
import { readManifest, releaseFolder } from './manifest.ts'
import type { OnProgress } from './progress.ts'
import { digestFile } from './verify-archive.ts'

export type FileState = { readonly name: string; readonly state: 'good' | 'changed' | 'gone' | 'extra' }
/** `unknown`: there is no manifest, so nothing tells what the files should be. */
export type Verified = { readonly id: string; readonly state: 'good' | 'damaged' | 'unknown'; readonly files: readonly FileState[] }

/** Throws InputError for a manifest that is wrong. Files that the manifest does not know are told and do no harm. */
export async function verifyRelease(depot: string, id: string, onProgress?: OnProgress): Promise<Verified> {
  const manifest = await readManifest(depot, id)
  if (!manifest) return { id, state: 'unknown', files: [] }
  const folder = join(depot, releaseFolder(id))
  const files: FileState[] = []
  for (const { name, sha256, sizeBytes } of manifest.files) {
    const onBytes = (doneBytes: number) => onProgress?.({ step: 'check', what: `${id}/${name}`, doneBytes, totalBytes: sizeBytes })
    const found = await digestFile(join(folder, name), onBytes).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    })
    files.push({ name, state: !found ? 'gone' : found.sha256 === sha256 ? 'good' : 'changed' })
  }
  const known = new Set([manifestName, ...manifest.files.map(({ name }) => name)])
  for (const name of await readdir(folder)) if (!known.has(name) && !name.startsWith('.')) files.push({ name, state: 'extra' })
  return { id, state: files.some(({ state }) => state === 'changed' || state === 'gone') ? 'damaged' : 'good', files }
}
