// Makes plans: boot/decide's plan of a station, with the overlay that was looked through and the files that are really there. Used by the gate.
// A plan is remembered for as long as all that it rests on is the same; it tells nobody anything.
import type { Mac } from '../boot/address.ts'
import type { Facts } from '../boot/client.ts'
import { findBootFiles, planChoice, type ScriptPlan } from '../boot/decide.ts'
import { because, butNot, type Choice, chooseProfile } from '../boot/match.ts'
import type { Profile, Records, Site } from '../boot/record.ts'
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

export type PlannerOptions = { readonly shelf: Shelf; readonly looks: Looks; readonly records: () => Records; readonly site: () => Site }

type World = { readonly site: Site; readonly records: Records }

/** A plan before the disk was asked for its files, and the last plan that came of it. */
type Draft = {
  readonly world: World
  readonly overlay: OverlaySearch
  readonly plan: ScriptPlan
  readonly broken: string | undefined
  readonly menu: readonly string[]
  finished?: { readonly key: string; readonly planned: Planned }
}

// About 3.5 KB each: 35 MB for ten thousand stations, 70 MB at most.
const leastDrafts = 10_240

export function createPlanner({ shelf, looks, records, site }: PlannerOptions): Planner {
  const drafts = createRecent<Draft>(leastDrafts)

  function plan(mac: Mac, facts: Facts, chosen?: string): Maybe<Planned> {
    const world = { site: site(), records: records() }
    return onward(shelf.find(mac, world.records.stationByMac.get(mac)), (overlay) => {
      const key = `${mac} ${chosen ?? ''} ${JSON.stringify(facts)}`
      const known = drafts.get(key)
      if (known && rests(known, world, overlay)) return finish(known)
      const choice = pick(chooseProfile(mac, facts, world.records, world.site), chosen, facts, world.records, overlay)
      const draft = draftPlan(choice, facts, world, overlay)
      drafts.set(key, draft)
      return finish(draft)
    })
  }

  function planForAnybody(facts: Facts): Maybe<GatePlan | undefined> {
    const world = { site: site(), records: records() }
    return onward(shelf.find(undefined, undefined), (overlay) => {
      const profile = world.records.profiles.get(world.site.defaultProfile)
      if (profile?.kind !== 'alpine') return undefined
      const choice = {
        profile,
        why: [butNot('station', 'who asks is not known'), because('default', `the site's default profile is ${profile.name}`)],
      }
      return onward(finish(draftPlan(choice, facts, world, overlay)), (done) => (done.plan.profile === profile ? done.plan : undefined))
    })
  }

  /** A script names only files that are there: a missing one makes the station wait, with the reason on its screen. */
  function finish(draft: Draft): Maybe<Planned> {
    const { boot } = draft.plan
    const files = boot ? [boot.files.kernel, boot.files.initramfs, ...(boot.files.modloop ? [boot.files.modloop] : [])] : []
    return onward(findAbsent(files), (absent) =>
      onward(looks.isThere('sshkeys.pub'), (hasSshKeys) => {
        const key = `${hasSshKeys} ${absent}`
        if (draft.finished?.key !== key) draft.finished = { key, planned: complete(draft, absent, hasSshKeys) }
        return draft.finished.planned
      }),
    )
  }

  function findAbsent([path, ...rest]: readonly string[]): Maybe<string | undefined> {
    return path === undefined ? undefined : onward(looks.isThere(path), (is) => (is ? findAbsent(rest) : path))
  }

  return { plan, planForAnybody }
}

/** Does a draft still rest on what is now? Records and settings are new objects after each change. */
function rests({ world, overlay }: Draft, now: World, overlayNow: OverlaySearch): boolean {
  if (world.records !== now.records || world.site !== now.site) return false
  if ('path' in overlay) return 'path' in overlayNow && overlay.path === overlayNow.path && overlay.identity === overlayNow.identity
  return 'missing' in overlayNow && overlay.missing === overlayNow.missing
}

function draftPlan(choice: Choice, facts: Facts, world: World, overlay: OverlaySearch): Draft {
  let broken: string | undefined
  const plan = planChoice(choice, facts, world, () => {
    if ('missing' in overlay) broken = overlay.broken
    return overlay
  })
  const menu = plan.profile.kind === 'menu' ? menuFor(facts, world.records, overlay) : []
  return { world, overlay, plan, broken, menu }
}

function complete({ plan, overlay, broken, menu }: Draft, absent: string | undefined, hasSshKeys: boolean): Planned {
  const common = { hasSshKeys, menu }
  if (absent === undefined) {
    const found = plan.boot?.overlay !== undefined && 'path' in overlay ? { overlay } : {}
    return { plan: { ...plan, ...common, ...found }, ...(broken !== undefined && { broken }) }
  }
  const { boot: _, ...rest } = plan
  const why = [...plan.why, butNot('release', `${absent} is not in the depot`), because('instead', `wait in place of ${plan.profile.name}`)]
  return { plan: { ...rest, ...common, profile: { name: 'wait', kind: 'wait' }, why }, ...(broken !== undefined && { broken }) }
}

/** The menu's choice in place of the menu, when the station has a menu and the menu has that profile. */
function pick(choice: Choice, chosen: string | undefined, facts: Facts, records: Records, overlay: OverlaySearch): Choice {
  if (chosen === undefined) return choice
  const profile = records.profiles.get(chosen)
  if (choice.profile.kind !== 'menu' || !profile || !menuFor(facts, records, overlay).includes(chosen)) {
    return { ...choice, why: [...choice.why, butNot('menu', `${chosen} is not in a menu of this station`)] }
  }
  return { ...choice, profile, why: [...choice.why, because('menu', `${chosen} was chosen at the station`)] }
}

/** What a menu may lead to. A bare Alpine is not among it: nobody gets one without being given it by name. */
function menuFor(facts: Facts, records: Records, overlay: OverlaySearch): string[] {
  const canBoot = (profile: Profile): boolean =>
    profile.kind === 'script' ||
    (profile.kind === 'alpine' && profile.overlay === 'required' && 'path' in overlay && !('missing' in findBootFiles(profile, facts, records)))
  return [...records.profiles.values()]
    .filter(canBoot)
    .map(({ name }) => name)
    .sort()
    .slice(0, 100)
}
