// THE ONE GATE: what a station gets, whoever asks: DHCP (decide), the door (plan, findOverlay) and `explain`.
// The rules are boot/decide's; the gate brings what they must know: records, loaders, overlays, the files that are there.
import type { Mac } from '../boot/address.ts'
import type { Client, Facts } from '../boot/client.ts'
import { type Decision, decide } from '../boot/decide.ts'
import type { Emit } from '../boot/event.ts'
import { chooseProfile } from '../boot/match.ts'
import type { Profile, Records, Site, Station } from '../boot/record.ts'
import type { LoaderLibrary } from '../ipxe/library.ts'
import type { Composer } from '../overlay/composition.ts'
import type { Additions } from '../release/addition.ts'
import { createOverlays } from './composed.ts'
import { createExplainer, type ExplainAsk, type Explanation, type PlaceFinder } from './explain.ts'
import { createLooks } from './look.ts'
import { type Maybe, onward } from './maybe.ts'
import type { GatePlan } from './plan.ts'
import { createPlanner } from './planner.ts'
import type { Presence } from './presence.ts'
import { createQuiet } from './quiet.ts'
import { createRecent } from './recent.ts'
import type { Scripts } from './script.ts'
import { createShelf, type OverlaySearch } from './shelf.ts'

export type Gate = {
  /** What a DHCP client gets. Touches no disk, but for loaders that were not asked about for some seconds. */
  readonly decide: (client: Client) => Decision
  /** What a station's script does; `chosen` is the profile picked in its menu. Never throws. */
  readonly plan: (mac: Mac, facts: Facts, chosen?: string) => Maybe<GatePlan>
  /** The same for somebody whose MAC is not known: the default profile with the default overlay, or undefined when that cannot be served. */
  readonly planForAnybody: (facts: Facts) => Maybe<GatePlan | undefined>
  /** The overlay of the profile that `isProfile` knows (its ticket's), else of the one that the last script of this MAC booted, else of its own. */
  readonly findOverlay: (mac: Mac, isProfile?: (name: string) => boolean) => Maybe<OverlaySearch>
  /** An overlay by its own path (`configs/default.tar.gz`), checked. */
  readonly checkOverlay: (path: string) => Maybe<OverlaySearch>
  /** Does everybody get an overlay, whatever the MAC? For a script in which the station itself fills in its MAC. */
  readonly isOverlayForAll: () => Maybe<boolean>
  /** Does any station or profile name layers? */
  readonly isComposing: () => boolean
  /** The next answer about this overlay comes from the disk. */
  readonly forgetOverlay: (path: string) => void
  readonly findStationByUuid: (uuids: readonly string[]) => Station | undefined
  readonly records: () => Records
  /** All that this MAC would get, and why. Sends nothing and tells nobody. */
  readonly explain: (mac: Mac, ask?: ExplainAsk) => Promise<Explanation>
}

export type GateOptions = {
  readonly depot: string
  readonly records: () => Records
  readonly site: () => Site
  readonly loaders: LoaderLibrary
  readonly presence: Presence
  readonly scripts: Scripts
  readonly now: () => number
  readonly emit: Emit
  /** Where a station would ask, for `explain`. */
  readonly findPlace?: PlaceFinder
  /** What makes overlays of layers; without it whoever names layers gets none. */
  readonly composer?: Pick<Composer, 'compose'>
  /** Packs additions to the initramfs. */
  readonly additions?: Pick<Additions, 'find'>
  /** Do scripts carry tickets? For `explain`. */
  readonly hasTickets?: boolean
  /** How long a look at the depot is believed. */
  readonly revalidateMs?: number
}

const leastBooted = 10_240

export function createGate(options: GateOptions): Gate {
  const { depot, records, site, loaders, presence, now, emit, revalidateMs = 100 } = options
  const shelf = createShelf({ depot, now, revalidateMs })
  const overlays = createOverlays(options.composer)
  const { additions } = options
  const planner = createPlanner({ shelf, overlays, looks: createLooks({ depot, now, revalidateMs }), ...(additions && { additions }), records, site })
  const composing = new WeakMap<Records, boolean>()
  const bootedBy = createRecent<{ readonly name: string; readonly facts: Facts }>(leastBooted)
  const quiet = createQuiet({ now, everyMs: 60_000 })
  const hasLoader = (file: string): boolean => loaders.find(file) !== undefined

  function findOverlay(mac: Mac, isProfile?: (name: string) => boolean): Maybe<OverlaySearch> {
    const all = records()
    const station = all.stationByMac.get(mac)
    return onward(shelf.find(mac, station), (archive) => {
      const profile = findBooted(mac, all, isProfile)
      // Which release it was may hang on what the station told of itself.
      const facts = bootedBy.get(mac)?.facts ?? {}
      return profile?.kind === 'alpine' ? overlays.find({ mac, station, profile, facts, records: all, archive }) : archive
    })
  }

  function findBooted(mac: Mac, all: Records, isProfile: ((name: string) => boolean) | undefined): Profile | undefined {
    const name = isProfile ? [...all.profiles.keys()].find(isProfile) : bootedBy.get(mac)?.name
    return (name === undefined ? undefined : all.profiles.get(name)) ?? chooseProfile(mac, {}, all, site()).profile
  }

  /** In a script that the station completes with its own MAC only what everybody gets, and gets without a ticket: nothing that is composed for one. */
  const isOverlayForAll = (): Maybe<boolean> => (isComposing() ? false : shelf.isForAll())

  function isComposing(): boolean {
    const all = records()
    const known = composing.get(all)
    if (known !== undefined) return known
    const is =
      all.stations.some(({ layers }) => layers.length) || [...all.profiles.values()].some((one) => one.kind === 'alpine' && one.layers.length)
    composing.set(all, !!is)
    return !!is
  }

  function plan(mac: Mac, facts: Facts, chosen?: string): Maybe<GatePlan> {
    return onward(planner.plan(mac, facts, chosen), (planned) => {
      if (planned.broken !== undefined && quiet.mayTell(planned.broken)) tellBroken(mac, planned.broken, planned.plan)
      if (planned.plan.boot) bootedBy.set(mac, { name: planned.plan.boot.profile.name, facts })
      return planned.plan
    })
  }

  function tellBroken(mac: Mac, file: string, { why }: GatePlan): void {
    const reason = why.find(({ rule, held }) => rule === 'overlay' && !held)?.text ?? file
    emit({ at: now(), kind: 'overlay-broken', mac, detail: { file, reason } })
  }

  const decideWith = (client: Client, sinceLoaderMs: number | undefined): Decision =>
    decide(client, { site: site(), records: records(), hasLoader, sinceLoaderMs })

  return {
    decide: (client) => decideWith(client, presence.sinceLoaderMs(client.mac)),
    plan,
    planForAnybody: planner.planForAnybody,
    findOverlay,
    checkOverlay: shelf.check,
    isOverlayForAll,
    isComposing,
    forgetOverlay: shelf.forget,
    findStationByUuid: (uuids) => records().stations.find(({ uuid }) => uuid !== undefined && uuids.includes(uuid)),
    records,
    explain: createExplainer({
      decide: (client) => decideWith(client, undefined),
      plan: (mac, facts) => onward(planner.plan(mac, facts), (planned) => planned.plan),
      findOverlay,
      records,
      site,
      loaders,
      scripts: options.scripts,
      hasTickets: options.hasTickets === true,
      ...(options.findPlace && { findPlace: options.findPlace }),
    }),
  }
}
