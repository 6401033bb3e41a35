// The order in which apk installs what was chosen: what a package needs before it, what comes along with it right after. Called by closure.
// Pure; loops of dependencies end where they began; no recursion, so that no index makes the stack overflow.
import type { Candidate, Catalog, Chosen, Provider } from './catalog.ts'
import type { Dependency } from './dependency.ts'

type Step = { readonly candidate: Candidate; readonly names: readonly string[]; at: number }

/** `world` in the order of its names; each name's package after those that it needs. */
export function sortForInstall(chosen: ReadonlyMap<string, Provider>, world: readonly Dependency[], catalog: Catalog): Chosen[] {
  const order: Chosen[] = []
  const seen = new Set<Candidate>()
  const done = new Set<Candidate>()
  const stack: Step[] = []

  const enter = (candidate: Candidate | undefined): void => {
    if (!candidate || seen.has(candidate)) return
    seen.add(candidate)
    const names = catalog.dependsOf(candidate).flatMap(({ name, isConflict }) => (isConflict ? [] : [name]))
    stack.push({ candidate, names, at: 0 })
  }
  const leave = (candidate: Candidate): void => {
    order.push({ package: candidate.package, place: candidate.place })
    done.add(candidate)
    const followers = catalog.namesOf(candidate).flatMap(({ name }) => catalog.triggeredBy(name))
    // Of those that come along now, the first is entered last and so goes first.
    for (const follower of followers.toReversed()) if (isChosen(follower) && isReady(follower)) enter(follower)
  }
  const isChosen = (candidate: Candidate): boolean => chosen.get(candidate.package.name)?.candidate === candidate
  const isReady = (candidate: Candidate): boolean =>
    catalog.installIfOf(candidate).every(({ name, isConflict }) => {
      const holder = chosen.get(name)
      return isConflict || (holder !== undefined && done.has(holder.candidate))
    })
  const drain = (): void => {
    for (let step = stack.at(-1); step; step = stack.at(-1)) {
      const name = step.names[step.at++]
      if (name !== undefined) enter(chosen.get(name)?.candidate)
      else {
        stack.pop()
        leave(step.candidate)
      }
    }
  }

  for (const { name, isConflict } of world) {
    if (!isConflict) enter(chosen.get(name)?.candidate)
    drain()
  }
  // What came along because of names that stand for nothing in the world: by name.
  const rest = [...new Set([...chosen.values()].map(({ candidate }) => candidate))].filter((one) => !seen.has(one))
  for (const candidate of rest.sort((one, other) => (one.label < other.label ? -1 : 1))) {
    enter(candidate)
    drain()
  }
  return order
}
