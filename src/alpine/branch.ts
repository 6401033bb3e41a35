// What the init of each Alpine branch can and cannot do, as far as a boot server must know. Pure; used by cmdline, view and the lints.
// The table is the one of mkinitfs's history: 3.15 has 3.6.0, 3.19 has 3.9, 3.20 has 3.10, 3.22 has 3.12, 3.23 has 3.13.

/** `v3.22` → 3022; edge and what is unknown count as the newest, since nobody boots an unknown branch that is old. */
function numberOf(branch: string | undefined): number {
  const [, major, minor] = /^v?([1-9][0-9]{0,2})\.([0-9]{1,3})(?:[._].*)?$/.exec(branch ?? '') ?? []
  return major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 1000 + Number(minor)
}

const since =
  (least: string) =>
  (branch: string | undefined): boolean =>
    numberOf(branch) >= numberOf(least)

/** `alpine_repo=` takes several URLs, with commas between (mkinitfs 3.10). Before, the whole text is one URL. */
export const takesRepositoryList = since('v3.20')

/** `alpine_dev=` does nothing (mkinitfs 3.0.0, December 2015). */
export const ignoresAlpineDev = since('v3.3')

/** `panic=N` makes a failed boot start again (mkinitfs 3.13); before, it waits in a root shell. */
export const hasPanic = since('v3.23')

/** `apkovl=…tar.gz?query`: the query is cut off before the ending is looked at (mkinitfs 3.9). Before, the station stops in a shell. */
export const takesQuery = since('v3.19')

/** The flavour that real machines had was called `vanilla` up to 3.10, and is `lts` from 3.11 on. */
export const hasVanilla = (branch: string | undefined): boolean => !since('v3.11')(branch)

/** `3.22.2` → `v3.22`; undefined for what is no version of a release (a snapshot's date, `edge`). */
export function branchOf(version: string): string | undefined {
  const [, major, minor] = /^([1-9][0-9]?)\.([0-9]{1,3})\.[0-9]{1,3}(?:_[a-z]+[0-9]*)?$/.exec(version) ?? []
  return major === undefined ? undefined : `v${major}.${minor}`
}
