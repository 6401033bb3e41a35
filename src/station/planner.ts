// Makes plans: boot/decide's plan of a station, with the overlay that was looked through and the files that are really there. Used by the gate.
// A plan is remembered for as long as all that it rests on is the same; it tells nobody anything.
import type { Mac } from '../boot/address.ts'
import type { Facts } from '../boot/client.ts'
import { findBootFiles, planChoice, type ScriptPlan } from '../boot/decide.ts'
import { because, butNot, type Choice, chooseProfile } from '../boot/match.ts'
import { filesOfImage, isUrl } from '../boot/image.ts'
import type { AlpineProfile, MenuProfile, Profile, Records, Site } from '../boot/record.ts'
import { namesLayers, type OverlayAsk, type Overlays } from './composed.ts'
import type { Addition, Additions, AdditionSearch } from '../release/addition.ts'
import type { Looks } from './look.ts'
import { type Maybe, onward } from './maybe.ts'
import type { GatePlan } from './plan.ts'
import { createRecent } from './recent.ts'
import type { OverlaySearch, Shelf } from './shelf.ts'

/** `broken` is an overlay that the plan wanted and cannot have. */
export type Planned = { readonly plan: GatePlan; readonly broken?: string }

export type Planner = {
  readonly plan: (mac: Mac, facts: Facts, chosen?: string) => Maybe<Planned>
  /** For somebody whose MAC is not known: the default profile with the default overlay, or undefined when that cannot be served. */
  readonly planForAnybody: (facts: Facts) => Maybe<GatePlan | undefined>
}

export type PlannerOptions = {
  readonly shelf: Shelf
  readonly overlays: Overlays
  readonly looks: Looks
  /** Absent: a profile with additions cannot be booted. */
  readonly additions?: Pick<Additions, 'find'>
  readonly records: () => Records
  readonly site: () => Site
}

type World = { readonly site: Site; readonly records: Records }

/** Who a plan is for, and what the shelf has for it. */
type Asker = Omit<OverlayAsk, 'profile' | 'records'> & { readonly world: World }

/** What was composed for a profile that the plan thought of. */
type Composition = { readonly profile: AlpineProfile; readonly search: OverlaySearch }

/** A plan before the disk was asked for its files, and the last plan that came of it. */
type Draft = {
  readonly world: World
  readonly archive: OverlaySearch
  readonly compositions: readonly Composition[]
  /** The search that the plan's overlay came of. */
  readonly overlay: OverlaySearch | undefined
  readonly plan: ScriptPlan
  readonly broken: string | undefined
  readonly menu: readonly string[]
  finished?: { readonly key: string; readonly planned: Planned }
}

// About 3.5 KB each: 35 MB for ten thousand stations, 70 MB at most.
const leastDrafts = 10_240

export function createPlanner({ shelf, overlays, looks, additions, records, site }: PlannerOptions): Planner {
  const drafts = createRecent<Draft>(leastDrafts)

  function plan(mac: Mac, facts: Facts, chosen?: string): Maybe<Planned> {
    const world = { site: site(), records: records() }
    const station = world.records.stationByMac.get(mac)
    return onward(shelf.find(mac, station), (archive) => {
      const asker = { mac, station, facts, archive, world }
      const key = `${mac} ${chosen ?? ''} ${JSON.stringify(facts)}`
      const known = drafts.get(key)
      return known && rests(known, asker) ? onward(areSame(known.compositions, asker), (same) => (same ? finish(known) : make())) : make()

      function make(): Maybe<Planned> {
        const choice = pick(chooseProfile(mac, facts, world.records, world.site), chosen, asker)
        return onward(draftPlan(choice, asker), (draft) => {
          drafts.set(key, draft)
          return finish(draft)
        })
      }
    })
  }

  function planForAnybody(facts: Facts): Maybe<GatePlan | undefined> {
    const world = { site: site(), records: records() }
    return onward(shelf.find(undefined, undefined), (archive) => {
      const profile = world.records.profiles.get(world.site.defaultProfile)
      if (profile?.kind !== 'alpine') return undefined
      const choice = {
        profile,
        why: [butNot('station', 'who asks is not known'), because('default', `the site's default profile is ${profile.name}`)],
      }
      const asker = { mac: undefined, station: undefined, facts, archive, world }
      return onward(draftPlan(choice, asker), (draft) => onward(finish(draft), (done) => (done.plan.profile === profile ? done.plan : undefined)))
    })
  }

  const compose = (profile: AlpineProfile, { world, ...asker }: Asker): Maybe<OverlaySearch> =>
    overlays.find({ ...asker, profile, records: world.records })

  /** Is everything composed as it was? At once where nothing is. */
  function areSame([first, ...rest]: readonly Composition[], asker: Asker): Maybe<boolean> {
    if (!first) return true
    return onward(compose(first.profile, asker), (now) => isSame(first.search, now) && areSame(rest, asker))
  }

  /** The core decides at once, so what it asks for and is not composed yet is composed between two tries: one for the profile, one for its substitute. */
  function draftPlan(choice: Choice, asker: Asker, compositions: readonly Composition[] = []): Maybe<Draft> {
    const { world, archive, facts, station } = asker
    let wanted: AlpineProfile | undefined
    let overlay: OverlaySearch | undefined
    let broken: string | undefined
    const plan = planChoice(choice, facts, world, (_, profile) => {
      overlay = namesLayers(profile, station) ? compositions.find((one) => one.profile === profile)?.search : archive
      if (!overlay) wanted ??= profile
      else if ('missing' in overlay) broken ??= overlay.broken
      return overlay ?? { missing: 'it is not composed yet' }
    })
    const next = wanted
    if (next) return onward(compose(next, asker), (search) => draftPlan(choice, asker, [...compositions, { profile: next, search }]))
    const menu = plan.profile.kind === 'menu' ? menuFor(plan.profile, asker) : []
    return { world, archive, compositions, overlay, plan, broken, menu }
  }

  /** A script names only files that are there: a missing one makes the station wait, with the reason on its screen. */
  function finish(draft: Draft): Maybe<Planned> {
    const { boot } = draft.plan
    return onward(findAbsent(filesOf(draft.plan)), (absent) =>
      onward(absent === undefined ? findAdditions(boot) : { found: [] }, (added) =>
        onward(looks.isThere('sshkeys.pub'), (hasSshKeys) => {
          const refusal = absent === undefined ? ('missing' in added ? added.missing : undefined) : `${absent} is not in the depot`
          const found = 'found' in added ? added.found : []
          const key = `${hasSshKeys} ${refusal} ${found.map(({ path }) => path).join(' ')}`
          if (draft.finished?.key !== key) draft.finished = { key, planned: complete(draft, refusal, hasSshKeys, found) }
          return draft.finished.planned
        }),
      ),
    )
  }

  function findAdditions(boot: ScriptPlan['boot']): Maybe<AdditionSearch> {
    if (!boot?.profile.additions.length) return { found: [] }
    return additions?.find(boot.profile.additions, boot.files.initramfs) ?? { missing: 'additions are named, but nothing packs them here' }
  }

  function findAbsent([path, ...rest]: readonly string[]): Maybe<string | undefined> {
    return path === undefined ? undefined : onward(looks.isThere(path), (is) => (is ? findAbsent(rest) : path))
  }

  return { plan, planForAnybody }
}

/** Does a draft still rest on what is now? Records and settings are new objects after each change. */
const rests = ({ world, archive }: Draft, now: Asker): boolean =>
  world.records === now.world.records && world.site === now.world.site && isSame(archive, now.archive)

function isSame(one: OverlaySearch, other: OverlaySearch): boolean {
  if ('path' in one)
    return 'path' in other && one.path === other.path && one.identity === other.identity && one.pinned?.version === other.pinned?.version
  return 'missing' in other && one.missing === other.missing
}

function complete({ plan, overlay, broken, menu }: Draft, refusal: string | undefined, hasSshKeys: boolean, additions: readonly Addition[]): Planned {
  const common = { hasSshKeys, menu }
  if (refusal === undefined) {
    const found = plan.boot?.overlay !== undefined && overlay && 'path' in overlay ? { overlay } : {}
    const added = additions.length ? { additions, why: [...plan.why, because('additions', additions.map(({ path }) => path).join(', '))] } : {}
    return { plan: { ...plan, ...common, ...found, ...added }, ...(broken !== undefined && { broken }) }
  }
  const { boot: _, ...rest } = plan
  const why = [...plan.why, butNot('release', refusal), because('instead', `wait in place of ${plan.profile.name}`)]
  return { plan: { ...rest, ...common, profile: { name: 'wait', kind: 'wait' }, why }, ...(broken !== undefined && { broken }) }
}

/** The menu's choice in place of the menu, when the station has a menu and the menu has that profile. */
function pick(choice: Choice, chosen: string | undefined, asker: Asker): Choice {
  if (chosen === undefined) return choice
  const profile = asker.world.records.profiles.get(chosen)
  if (choice.profile.kind !== 'menu' || !profile || !menuFor(choice.profile, asker).includes(chosen)) {
    return { ...choice, why: [...choice.why, butNot('menu', `${chosen} is not in a menu of this station`)] }
  }
  return { ...choice, profile, why: [...choice.why, because('menu', `${chosen} was chosen at the station`)] }
}

/** The files of the depot without which the plan cannot be carried out. */
function filesOf({ boot, profile }: ScriptPlan): string[] {
  if (boot) return [boot.files.kernel, boot.files.initramfs, ...(boot.files.modloop ? [boot.files.modloop] : [])]
  if (profile.kind === 'linux') return filesOfImage(profile)
  if (profile.kind === 'rescue') return [profile.kernel, profile.initrd].filter((place) => !isUrl(place))
  return profile.kind === 'chain' && !isUrl(profile.target) ? [profile.target] : []
}

/**
 * What a menu may lead to: the profiles of its entries, and no others. Without entries: whatever cannot do harm and needs nobody's word. Not an
 * installer, for the first item is taken by itself; and a bare Alpine is not among it: nobody gets one without being given it by name.
 * What is composed is so when it is chosen.
 */
function menuFor({ entries }: MenuProfile, { facts, world: { records }, archive, station }: Asker): string[] {
  if (entries) return entries.flatMap(({ profile }) => profile ?? [])
  const hasOverlay = (profile: AlpineProfile): boolean => profile.overlay === 'required' && (namesLayers(profile, station) || 'path' in archive)
  const canBoot = (profile: Profile): boolean =>
    profile.kind === 'script' || (profile.kind === 'alpine' && hasOverlay(profile) && !('missing' in findBootFiles(profile, facts, records)))
  return [...records.profiles.values()]
    .filter(canBoot)
    .map(({ name }) => name)
    .sort()
    .slice(0, 100)
}
