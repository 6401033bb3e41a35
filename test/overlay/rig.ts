// A depot with layers for tests of overlays: files are written, compositions asked for, archives read back.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { readTar, type TarEntry } from '../../src/alpine/tar.ts'
import { type AlpineProfile, profileSchema, type Release, type Station, stationSchema } from '../../src/boot/record.ts'
import type { ComposeAsk, Composed } from '../../src/overlay/composition.ts'
import { type OverlayConfig, openOverlays, type Overlays } from '../../src/overlay/open.ts'
import { makeScratch } from '../support/scratch.ts'

export type Rig = Overlays & {
  readonly depot: string
  readonly state: string
  /** Writes files below the depot. */
  readonly lay: (files: Record<string, string | Uint8Array>, mode?: number) => Promise<void>
  readonly make: (ask?: Partial<ComposeAsk>) => Promise<Composed>
  readonly at: { now: number }
}

/** Files settle after 20 ms: the rig's clock is an hour ahead, so that every file counts as settled. */
export async function createRig(over: Partial<OverlayConfig['overlays']> = {}, revalidateAt = Date.now() + 3_600_000): Promise<Rig> {
  const root = await makeScratch()
  const [depot, state] = [join(root, 'depot'), join(root, 'state')]
  await mkdir(join(depot, 'overlays'), { recursive: true })
  await mkdir(state)
  const at = { now: revalidateAt }
  const config = {
    depot,
    state,
    packages: { root: join(depot, 'apk') },
    overlays: { archive: 'last' as const, report: false, keep: 20, saveMegabytes: 1, ...over },
  }
  // Each look at the clock is two seconds after the one before: nothing is believed for longer than one answer.
  const overlays = openOverlays(config, () => (at.now += 2000))
  const lay = async (files: Record<string, string | Uint8Array>, mode?: number): Promise<void> => {
    for (const [name, text] of Object.entries(files)) {
      const path = join(depot, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text)
      if (mode !== undefined) await chmod(path, mode)
    }
  }
  const make = async (ask: Partial<ComposeAsk> = {}): Promise<Composed> => {
    const composed = await overlays.composer.compose({ profile: profile({ layers: ['base'] }), station: station(), ...ask })
    if (!composed) throw new Error('nothing was composed')
    return composed
  }
  return { ...overlays, depot, state, lay, make, at }
}

export const station = (over: Record<string, unknown> = {}): Station => stationSchema.parse({ name: 'kiosk-1', macs: ['52:54:00:12:34:56'], ...over })
export const profile = (over: Record<string, unknown> = {}): AlpineProfile =>
  profileSchema.parse({ name: 'kiosk', kind: 'alpine', ...over }) as AlpineProfile
export const release: Release = {
  id: 'alpine/3.22.2/x86_64/lts',
  kernel: 'releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts',
  initramfs: 'releases/alpine/3.22.2/x86_64/lts/initramfs-lts',
  flavour: 'lts',
  arch: 'x86_64',
  branch: 'v3.22',
  version: '3.22.2',
}

/** Members by path, with text. */
export async function membersOf({ path }: { readonly path: string }): Promise<Map<string, TarEntry & { readonly text: string }>> {
  const tar = gunzipSync(await readFile(path))
  return new Map(readTar(tar).map(({ entry, body }) => [entry.path, { ...entry, text: new TextDecoder().decode(body) }]))
}
