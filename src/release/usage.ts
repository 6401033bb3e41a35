// Who boots which release: by the records, and by what stations fetched lately. Pure; used by list, show and prune.
import type { BootEvent } from '../boot/event.ts'
import { findBootFiles } from '../boot/decide.ts'
import type { AlpineProfile, Profile, Records, Site } from '../boot/record.ts'

/** `profiles` that lead to it, `stations` whose own profile does; `lastBootAt` is when a station last fetched its kernel or modloop. */
export type Usage = { readonly profiles: readonly string[]; readonly stations: readonly string[]; readonly lastBootAt?: number }

// What iPXE calls the machines that releases are for; the first of each kind.
const buildarchs = ['x86_64', 'i386', 'arm64', 'arm32', 'riscv64', 'loong64', undefined]

/** By release id. Profiles that nothing leads to count as users too when they name a release: somebody wrote them. */
export function usageOf(records: Records, site: Site, events: readonly BootEvent[]): ReadonlyMap<string, Usage> {
  const leading = new Map<string, Set<string>>()
  const reached = reachable(records, site)
  for (const profile of records.profiles.values()) {
    if (profile.kind !== 'alpine') continue
    if (profile.release === undefined && profile.kernel === undefined && !reached.has(profile.name)) continue
    for (const id of releasesOf(profile, records)) leading.set(id, (leading.get(id) ?? new Set()).add(profile.name))
  }
  return new Map(
    records.releases.map(({ id }) => {
      const profiles = [...(leading.get(id) ?? [])].sort()
      const stations = records.stations.filter(({ profile = site.defaultProfile }) => profiles.includes(profile)).map(({ name }) => name)
      const lastBootAt = lastBoot(id, events)
      return [id, { profiles, stations, ...(lastBootAt !== undefined && { lastBootAt }) }]
    }),
  )
}

/** Profiles that a station may come to: by the settings, by its record, or by a match. */
function reachable({ stations, profiles }: Records, { defaultProfile, unknown, withoutOverlay }: Site): ReadonlySet<string> {
  const matching = [...profiles.values()].filter(({ match }) => match !== undefined).map(({ name }) => name)
  const named = stations.flatMap(({ profile }) => (profile === undefined ? [] : [profile]))
  const all = new Set([defaultProfile, unknown, withoutOverlay, ...named, ...matching])
  // A menu leads to every profile that can be booted.
  const hasMenu = [...all].some((name) => profiles.get(name)?.kind === 'menu')
  return hasMenu ? new Set([...all, ...[...profiles.values()].filter(isRequired).map(({ name }) => name)]) : all
}

const isRequired = (profile: Profile): boolean => profile.kind === 'alpine' && profile.overlay === 'required'

function releasesOf(profile: AlpineProfile, records: Records): readonly string[] {
  if (profile.kernel !== undefined || profile.initramfs !== undefined)
    return records.releases
      .filter((release) => [profile.kernel, profile.initramfs, profile.modloop].some((path) => path?.startsWith(`releases/${release.id}/`)))
      .map(({ id }) => id)
  if (profile.release !== undefined) return [profile.release]
  const found = buildarchs.map((buildarch) => findBootFiles(profile, buildarch ? { buildarch } : {}, records))
  return found.flatMap((files) => ('releaseId' in files && files.releaseId ? [files.releaseId] : []))
}

/** Kernel and modloop: both ends of a boot, for a station may have been on since long. */
function lastBoot(id: string, events: readonly BootEvent[]): number | undefined {
  const inside = `releases/${id}/`
  const times = events.filter(({ detail }) => String(detail?.file ?? '').includes(inside)).map(({ at }) => at)
  return times.length ? Math.max(...times) : undefined
}
