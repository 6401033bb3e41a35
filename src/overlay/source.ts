// What an overlay is made from, looked at and read: layers with those that they extend, the station's archive, ssh keys, keys of private
// repositories, secrets. Called by composer. Looks and layers are shared by all stations.
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, isAbsolute, join } from 'node:path'
import { isWithin } from '../boot/age.ts'
import { InputError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import { isSettled } from '../store/version.ts'
import { readArchive } from './archive.ts'
import type { ComposeAsk } from './composition.ts'
import type { ReadTree } from './folder.ts'
import { type Layer, type LayerLook, layerLimits, lookLayer, readLayer } from './layer.ts'
import { lookSecrets } from './secret.ts'

export type SourceOptions = {
  readonly depot: string
  readonly state: string
  readonly packagesRoot: string
  readonly now: () => number
  readonly revalidateMs: number
}

/** All that goes into one station's overlay. `fingerprint` is another one whenever any of it may be. */
export type Sources = {
  readonly layers: readonly Layer[]
  readonly fingerprint: string
  readonly isSettled: boolean
  readonly sshKeys: readonly string[]
  readonly keys: ReadonlyMap<string, Uint8Array>
}

export type SourceReader = {
  /** Looks at everything and reads the layers that changed. Throws what layers throw. */
  readonly read: (ask: ComposeAsk) => Promise<Sources>
  readonly readOwnArchive: (ask: ComposeAsk) => Promise<ReadTree | undefined>
}

const heldMax = 64 * 1024 * 1024
const smallFileMax = 256 * 1024

/** Names of layers in the order in which they are laid, as the records say: the profile's, then the station's. */
export const namesOf = ({ profile, station }: ComposeAsk): string[] => [...new Set([...profile.layers, ...(station?.layers ?? [])])]

export function createSourceReader({ depot, state, packagesRoot, now, revalidateMs }: SourceOptions): SourceReader {
  const looks = new Map<string, { readonly at: number; tookMs: number; readonly look: Promise<LayerLook> }>()
  const layers = new Map<string, { readonly fingerprint: string; readonly layer: Layer }>()

  function look(name: string): Promise<LayerLook> {
    const known = looks.get(name)
    if (known && isWithin(believedMs(known.tookMs), known.at, now())) return known.look
    const at = now()
    const fresh = { at, tookMs: 0, look: lookLayer(depot, name, now) }
    looks.set(name, fresh)
    fresh.look.then(
      () => {
        fresh.tookMs = now() - at
      },
      () => looks.delete(name),
    )
    return fresh.look
  }

  /** Looking takes no more than a small part of the time. */
  const believedMs = (tookMs: number): number => Math.min(Math.max(revalidateMs, 1000), revalidateMs + 20 * tookMs)

  async function readKnown(found: LayerLook): Promise<Layer> {
    const known = layers.get(found.name)
    if (known?.fingerprint === found.fingerprint) return known.layer
    const layer = await readLayer(found, depot)
    if (found.isSettled) keep(found, layer)
    return layer
  }

  function keep({ name, fingerprint }: LayerLook, layer: Layer): void {
    layers.delete(name)
    layers.set(name, { fingerprint, layer })
    let held = [...layers.values()].reduce((sum, one) => sum + one.layer.heldBytes, 0)
    for (const [other, one] of layers) {
      if (held <= heldMax) break
      layers.delete(other)
      held -= one.layer.heldBytes
    }
  }

  /** Each layer once, those that it extends before it. */
  async function expand(names: readonly string[]): Promise<{ layer: Layer; look: LayerLook }[]> {
    const laid = new Map<string, { layer: Layer; look: LayerLook }>()
    async function add(name: string, trail: readonly string[]): Promise<void> {
      if (trail.includes(name))
        throw new InputError('layer-loop', `extends itself: ${[...trail, name].join(' → ')}`, { file: `overlays/${name}/layer.yaml` })
      if (laid.has(name)) return
      const found = await look(name)
      const layer = await readKnown(found)
      for (const base of layer.settings.extends) await add(base, [...trail, name])
      laid.set(name, { layer, look: found })
    }
    for (const name of names) await add(name, [])
    return [...laid.values()]
  }

  async function read(ask: ComposeAsk): Promise<Sources> {
    const found = await expand(namesOf(ask))
    const [ssh, secrets] = await Promise.all([readSmall(join(depot, 'sshkeys.pub'), now), lookSecrets(depot, ask.station?.name, now)])
    const keys = needsPrivateKeys(
      ask,
      found.map(({ layer }) => layer),
    )
      ? await readPrivateKeys(state, packagesRoot)
      : new Map<string, Uint8Array>()
    const hash = createHash('sha256')
    const parts = [
      ...found.map(({ look: { name, fingerprint } }) => `${name} ${fingerprint}`),
      ssh.text,
      secrets.fingerprint,
      ask.archive?.identity ?? '',
    ]
    for (const part of [...parts, ...[...keys].flat()]) hash.update(part).update('\0')
    return {
      layers: found.map(({ layer }) => layer),
      fingerprint: hash.digest('hex'),
      isSettled: found.every((one) => one.look.isSettled) && secrets.isSettled && ssh.isSettled,
      sshKeys: ask.profile.sshKeys ? keyLines(ssh.text) : [],
      keys,
    }
  }

  async function readOwnArchive({ archive }: ComposeAsk): Promise<ReadTree | undefined> {
    if (!archive) return undefined
    const { path, identity } = archive
    const file = isAbsolute(path) ? basename(path) : path
    return readArchive(isAbsolute(path) ? path : join(depot, path), { depot, file, isLayer: false, limits: layerLimits, identity })
  }

  return { read, readOwnArchive }
}

const keyLines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith('#'))

async function readSmall(path: string, now: () => number): Promise<{ text: string; isSettled: boolean }> {
  try {
    const checkedAt = now()
    const stats = await stat(path, { bigint: true })
    if (!stats.isFile()) return { text: '', isSettled: true }
    if (stats.size > smallFileMax) throw new InputError('file-size', `is bigger than ${smallFileMax} bytes`, { file: basename(path) })
    return { text: await readFile(path, 'utf8'), isSettled: isSettled(stats, checkedAt) }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return { text: '', isSettled: true }
    throw error
  }
}

/** Does the station use a repository of the site's own? */
function needsPrivateKeys({ profile, release }: ComposeAsk, layers: readonly Layer[]): boolean {
  const used = profile.repositories.length ? profile.repositories : (release?.repositories ?? [])
  return [...used, ...layers.flatMap(({ settings }) => settings.repositories ?? [])].some((one) => one.split('/').includes('private'))
}

/** Public keys whose private half this site has: those of its own repositories. */
async function readPrivateKeys(state: string, packagesRoot: string): Promise<Map<string, Uint8Array>> {
  const keys = new Map<string, Uint8Array>()
  const own = new Set(await readdir(join(state, 'keys')).catch(() => []))
  const names = (await readdir(join(packagesRoot, 'keys')).catch(() => []))
    .filter((name) => name.endsWith('.pub') && own.has(name.slice(0, -4)))
    .sort()
  for (const name of names) keys.set(name, await readFile(join(packagesRoot, 'keys', name)))
  return keys
}
