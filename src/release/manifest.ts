// Manifests of releases on the disk: read, and written anew when a snapshot's repositories are set. Called by import, the commands and mirror's
// snapshots. A release's files themselves are never changed.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InputError, MissingError } from '../boot/error.ts'
import { depotPathSchema, urlOrPathSchema } from '../boot/field.ts'
import { codeOf, writeAtomic } from '../store/atomic.ts'
import { manifestName, type ReleaseManifest, readManifestText } from '../store/manifest.ts'
import { MistakesError } from '../store/mistake.ts'

/** The folder of a release below the depot. Throws InputError `release-id` for what cannot be one. */
export function releaseFolder(id: string): string {
  if (!depotPathSchema.safeParse(id).success)
    throw new InputError('release-id', `"${id.slice(0, 120)}" is no release: a path such as alpine/3.22.2/x86_64/lts`)
  return `releases/${id}`
}

/**
 * The manifest of a release, or undefined when the folder has none (laid by hand). Throws InputError for an id that cannot be one, MistakesError
 * for a manifest that is wrong.
 */
export async function readManifest(depot: string, id: string): Promise<ReleaseManifest | undefined> {
  const file = `${releaseFolder(id)}/${manifestName}`
  const text = await readFile(join(depot, file), 'utf8').catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return undefined
    throw error
  })
  if (text === undefined) return undefined
  const outcome = readManifestText(text, file)
  if ('mistakes' in outcome) throw new MistakesError('the manifest is wrong', outcome.mistakes)
  return outcome.value
}

/** The text of a manifest: the same for the same manifest. */
export const formatManifestFile = (manifest: ReleaseManifest): string => `${JSON.stringify(manifest, null, 2)}\n`

/** Where the packages of a branch are, in our mirror: what its releases name unless somebody says otherwise. */
export const repositoriesOf = (branch: string): string[] => ['main', 'community'].map((name) => `apk/${branch}/${name}`)

/**
 * Sets where a release's packages come from (`['apk/snapshots/spring/v3.22/main']`: paths below the depot, or URLs); profiles that name no
 * repositories of their own use them from then on. Throws MissingError for a release without manifest, InputError for a place that cannot be one.
 */
export async function setRepositories(depot: string, id: string, repositories: readonly string[]): Promise<ReleaseManifest> {
  const manifest = await readManifest(depot, id)
  if (!manifest)
    throw new MissingError('release-manifest', `release ${id} has no ${manifestName}: import it, or name the repositories in the profile`)
  for (const place of repositories) {
    if (!urlOrPathSchema.safeParse(place).success)
      throw new InputError('repository', `"${place.slice(0, 200)}" is neither an http(s) URL nor a path below the depot`)
  }
  const next = { ...manifest, repositories: [...repositories] }
  await writeAtomic(join(depot, releaseFolder(id), manifestName), formatManifestFile(next), 0o644)
  return next
}
