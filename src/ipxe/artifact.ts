// The library of what was built: <depot>/ipxe/artifacts/<fingerprint>/ with its manifest. Used by build, publish, patch and the faces.
// An artifact never changes once it is there.
import { createHash, randomBytes } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { InputError, MissingError, OutsideError } from '../boot/error.ts'
import { isThere, sizeOf } from './file.ts'
import { type Fingerprint, sha256 } from './fingerprint.ts'

const manifestShape = z.object({
  fingerprint: z.string(),
  /** `built` by make, `image` put together here, `patched` from `base`. */
  kind: z.enum(['built', 'image', 'patched']),
  name: z.string().optional(),
  target: z.string(),
  file: z.string(),
  sha256: z.string(),
  sizeBytes: z.number(),
  /** Names in the loader library under which it is announced unless others are asked for. */
  announce: z.array(z.string()),
  source: z.object({ name: z.string(), from: z.string(), pin: z.string() }),
  settings: z.record(z.string(), z.union([z.boolean(), z.number(), z.string()])),
  config: z.string().optional(),
  debug: z.array(z.string()).optional(),
  script: z.object({ text: z.string(), sha256: z.string() }).optional(),
  /** Script bytes and CA fingerprints that can be filled later. */
  slot: z.object({ scriptBytes: z.number(), authorities: z.array(z.string()) }).optional(),
  trust: z.array(z.object({ subject: z.string(), sha256: z.string() })).optional(),
  /** CA fingerprints that a patch put in. */
  patchedTrust: z.array(z.string()).optional(),
  certificates: z.array(z.object({ subject: z.string(), sha256: z.string() })).optional(),
  hasKey: z.boolean().optional(),
  /** Kept beside the file for later patches: role → file name. */
  parts: z.record(z.string(), z.string()).optional(),
  /** Fingerprints of what it is made from. */
  from: z.array(z.string()).optional(),
  toolchain: z.array(z.string()),
  durationMs: z.number(),
  /** Milliseconds since 1970. */
  builtAt: z.number(),
  licence: z.string(),
})

export type Manifest = z.infer<typeof manifestShape>

/** What stands in every manifest about the rights in the binary. */
export const licenceNotice =
  'iPXE is copyright its contributors and licensed under the GNU GPL version 2 or later, most files also under the Unmodified Binary Distribution Licence (COPYING, COPYING.GPLv2, COPYING.UBDL in its source). Who passes this binary on offers the source named here with it.'

export type Artifacts = {
  /** Puts files in place as one step; the first is the artifact. Answers the manifest that is there in the end. */
  readonly add: (
    manifest: Omit<Manifest, 'sha256' | 'sizeBytes' | 'licence'>,
    files: Readonly<Record<string, string | Uint8Array>>,
  ) => Promise<Manifest>
  readonly find: (fingerprint: Fingerprint) => Promise<Manifest | undefined>
  /** By fingerprint or a prefix of it of 6 digits or more. @throws MissingError, InputError when it fits several. */
  readonly show: (prefix: string) => Promise<Manifest>
  /** Newest first. */
  readonly list: () => Promise<Manifest[]>
  readonly pathOf: (manifest: Manifest, part?: string) => string
  /** The bytes, checked against the manifest. @throws OutsideError `artifact-damaged`. */
  readonly read: (manifest: Manifest, part?: string) => Promise<Uint8Array>
  /** Members that differ, as [path, one, other]. */
  readonly diff: (one: Manifest, other: Manifest) => [string, unknown, unknown][]
  /** Removes the oldest ones but `keep`, never those in `inUse` (and what they are made from). Answers what was, or in a dry run would be, removed. */
  readonly prune: (keep: number, inUse: ReadonlySet<Fingerprint>, dryRun?: boolean) => Promise<{ removed: Fingerprint[]; freedBytes: number }>
}

export function createArtifacts({ depot }: { readonly depot: string }): Artifacts {
  const folder = join(depot, 'ipxe/artifacts')

  const find: Artifacts['find'] = async (fingerprint) => {
    if (!/^[0-9a-f]{64}$/.test(fingerprint)) return undefined
    const text = await readFile(join(folder, fingerprint, 'manifest.json'), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : manifestShape.parse(JSON.parse(text))
  }

  const list: Artifacts['list'] = async () => {
    const found = await Promise.all((await readdir(folder).catch(() => [])).map((name) => find(name).catch(() => undefined)))
    return found.filter((one) => one !== undefined).sort((a, b) => b.builtAt - a.builtAt || (a.fingerprint < b.fingerprint ? -1 : 1))
  }

  const show: Artifacts['show'] = async (prefix) => {
    const fits = /^[0-9a-f]{6,64}$/.test(prefix)
      ? (await readdir(folder).catch(() => [])).filter((name) => name.startsWith(prefix) && name.length === 64)
      : []
    if (fits.length > 1) throw new InputError('artifact-ambiguous', `${prefix} fits ${fits.length} artifacts; give more digits`)
    const found = fits[0] === undefined ? undefined : await find(fits[0])
    if (!found) throw new MissingError('artifact-missing', `there is no artifact ${prefix.slice(0, 64)}`)
    return found
  }

  const pathOf: Artifacts['pathOf'] = ({ fingerprint, file, parts }, part) =>
    join(folder, fingerprint, part === undefined ? file : (parts?.[part] ?? 'absent'))

  const read: Artifacts['read'] = async (manifest, part) => {
    const bytes = await readFile(pathOf(manifest, part)).catch((cause) => {
      throw new MissingError('artifact-missing', `the files of artifact ${manifest.fingerprint.slice(0, 12)} are gone`, { cause })
    })
    if (part === undefined && sha256(bytes) !== manifest.sha256)
      throw new OutsideError(
        'artifact-damaged',
        `${manifest.file} of ${manifest.fingerprint.slice(0, 12)} is not what was built: remove it and build again`,
        false,
      )
    return bytes
  }

  const add: Artifacts['add'] = async (given, files) => {
    const temporary = join(folder, `.new-${given.fingerprint}-${randomBytes(4).toString('hex')}`)
    await mkdir(temporary, { recursive: true })
    try {
      for (const [name, content] of Object.entries(files))
        await (typeof content === 'string' ? copyFile(content, join(temporary, name)) : writeFile(join(temporary, name), content))
      const path = join(temporary, given.file)
      const manifest: Manifest = {
        ...given,
        sha256: createHash('sha256')
          .update(await readFile(path))
          .digest('hex'),
        sizeBytes: (await stat(path)).size,
        licence: licenceNotice,
      }
      await writeFile(join(temporary, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
      await rename(temporary, join(folder, given.fingerprint)).catch(async (error) => {
        if (!(await isThere(join(folder, given.fingerprint, 'manifest.json')))) throw error
      })
      return (await find(given.fingerprint)) ?? manifest
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }

  const prune: Artifacts['prune'] = async (keep, inUse, dryRun = false) => {
    const all = await list()
    const kept = new Set([...all.slice(0, keep).map((one) => one.fingerprint), ...inUse])
    for (const one of all) if (kept.has(one.fingerprint)) for (const base of one.from ?? []) kept.add(base)
    const removed = all.filter((one) => !kept.has(one.fingerprint))
    let freedBytes = 0
    for (const { fingerprint } of removed) {
      freedBytes += await sizeOf(join(folder, fingerprint))
      if (!dryRun) await rm(join(folder, fingerprint), { recursive: true, force: true })
    }
    return { removed: removed.map((one) => one.fingerprint), freedBytes }
  }

  return { add, find, show, list, pathOf, read, diff: diffManifests, prune }
}

function diffManifests(one: unknown, other: unknown): [string, unknown, unknown][] {
  const flatOne = flatten(one)
  const flatOther = flatten(other)
  return [...new Set([...flatOne.keys(), ...flatOther.keys()])]
    .sort()
    .flatMap((path) =>
      flatOne.get(path) === flatOther.get(path) ? [] : [[path, flatOne.get(path), flatOther.get(path)] as [string, unknown, unknown]],
    )
}

function flatten(value: unknown, path = '', into = new Map<string, unknown>()): Map<string, unknown> {
  if (value === null || typeof value !== 'object') into.set(path, value)
  else for (const [name, member] of Object.entries(value)) flatten(member, path === '' ? name : `${path}.${name}`, into)
  return into
}
