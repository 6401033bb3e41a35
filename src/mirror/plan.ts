// From `mirror.sync` of the configuration to the parts that are synced. Plans that share a repository are one part: they have one index, so what
// each of them wants must be there when it changes. Called by the commands and the schedule.
import { splitWorld } from '../apk/dependency.ts'
import { MissingError } from '../boot/error.ts'
import type { SyncPart } from './sync.ts'
import { alwaysInstalled } from './wanted.ts'

/** One entry of `mirror.sync`. */
export type SyncPlan = {
  readonly name: string
  readonly branch: string
  readonly repositories: readonly string[]
  readonly arch: string
  /** Absent: everything. `stations`: the worlds of all stations. */
  readonly packages?: 'stations' | readonly string[] | undefined
  readonly every?: 'day' | 'week' | undefined
}

/** Worlds of the overlays of all stations, one list of words each. */
export type ListWorlds = () => Promise<readonly (readonly string[])[]>

/** The parts that hold the named plans (all, when none is named). Throws MissingError `sync-unknown`. */
export async function planParts(plans: readonly SyncPlan[], names: readonly string[], listWorlds: ListWorlds): Promise<SyncPart[]> {
  const unknown = names.find((name) => !plans.some((plan) => plan.name === name))
  if (unknown !== undefined)
    throw new MissingError(
      'sync-unknown',
      `mirror.sync has no "${unknown}" (there are: ${plans.map(({ name }) => name).join(', ') || 'none; see docs/packages.md'})`,
    )
  const groups = groupPlans(plans).filter((group) => !names.length || group.some(({ name }) => names.includes(name)))
  const stations = groups.flat().some(({ packages }) => packages === 'stations') ? await listWorlds() : []
  return groups.map((group) => partOf(group, stations))
}

/** Plans of one branch and architecture that have a repository in common, directly or by way of others. */
export function groupPlans(plans: readonly SyncPlan[]): SyncPlan[][] {
  const groups: SyncPlan[][] = []
  for (const plan of plans) {
    const near = groups.filter((group) => group.some((other) => isNear(plan, other)))
    const merged = [...near.flat(), plan]
    for (const group of near) groups.splice(groups.indexOf(group), 1)
    groups.push(merged)
  }
  return groups
}

const isNear = (one: SyncPlan, other: SyncPlan): boolean =>
  one.branch === other.branch && one.arch === other.arch && one.repositories.some((name) => other.repositories.includes(name))

function partOf(group: readonly SyncPlan[], stations: readonly (readonly string[])[]): SyncPart {
  const [first] = group as [SyncPlan]
  const repositories = [...new Set(group.flatMap((plan) => plan.repositories))]
  const base = repositories.includes('main') ? alwaysInstalled : []
  const worlds = group.flatMap(({ packages }) => (packages === 'stations' ? [[], ...stations] : packages ? [packages] : []))
  return {
    name: group.map(({ name }) => name).join('+'),
    branch: first.branch,
    arch: first.arch,
    repositories,
    whole: new Set(group.flatMap((plan) => (plan.packages ? [] : plan.repositories))),
    worlds: worlds.map((words) => [...base, ...words.flatMap(splitWorld)]),
  }
}
