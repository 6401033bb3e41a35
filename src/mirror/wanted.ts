// What of an upstream's indexes is to be mirrored: everything, or what the worlds bring. Pure. Used by sync and snapshot.
import { createCatalog } from '../apk/catalog.ts'
import { type Missing, resolveWorld } from '../apk/closure.ts'
import { type ApkIndex, type IndexedPackage, packageFileName } from '../apk/index-file.ts'
import { DecodeError, InputError } from '../boot/error.ts'
import type { Place } from './place.ts'

/** An index that was read, with the bytes that it was read from. */
export type PlacedIndex = { readonly place: Place; readonly bytes: Uint8Array; readonly index: ApkIndex }

/** Packages by file name. */
export type WantedPlace = PlacedIndex & { readonly packages: ReadonlyMap<string, IndexedPackage>; readonly isWhole: boolean }

export type Wanted = { readonly places: readonly WantedPlace[]; readonly missing: readonly Missing[] }

/** What Alpine's init installs whatever the world says. */
export const alwaysInstalled: readonly string[] = ['alpine-base']

/**
 * Chooses for each index. `whole` names the repositories (`v3.22/main`) of which all is wanted; `worlds` are lists of words of world files, each
 * resolved by itself, since no station has the packages of all. Throws InputError `world-bad` for a word that is no dependency.
 */
export function chooseWanted(indexes: readonly PlacedIndex[], whole: ReadonlySet<string>, worlds: readonly (readonly string[])[]): Wanted {
  const chosen = new Map<string, Set<IndexedPackage>>()
  const missing = new Map<string, Missing>()
  const arch = indexes[0]?.place.arch
  const catalog = createCatalog(
    indexes.map(({ place, index }) => ({ place: place.repository, packages: index.packages })),
    arch,
  )
  // Most stations ask for the same.
  const different = new Map(worlds.map((world) => [world.toSorted().join(' '), world]))
  for (const world of different.values()) {
    const closure = resolve(world, catalog)
    for (const { place, package: one } of closure.packages) {
      const set = chosen.get(place) ?? new Set()
      chosen.set(place, set.add(one))
    }
    for (const one of closure.missing) missing.set(one.dependency, one)
  }
  const places = indexes.map((one): WantedPlace => {
    const isWhole = whole.has(one.place.repository)
    const list = isWhole ? one.index.packages : [...(chosen.get(one.place.repository) ?? [])]
    return { ...one, isWhole, packages: new Map(list.map((each) => [packageFileName(each), each])) }
  })
  return { places, missing: [...missing.values()] }
}

function resolve(world: readonly string[], catalog: ReturnType<typeof createCatalog>): ReturnType<typeof resolveWorld> {
  try {
    return resolveWorld(world, catalog)
  } catch (error) {
    if (error instanceof DecodeError) throw new InputError('world-bad', error.message, {}, { cause: error })
    throw error
  }
}
