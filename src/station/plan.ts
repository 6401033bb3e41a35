// The plan that the gate hands to whoever renders it. A type only.
import type { ScriptPlan } from '../boot/decide.ts'
import type { Addition } from '../release/addition.ts'
import type { FoundOverlay } from './shelf.ts'

/** A plan and all that its script needs. */
export type GatePlan = ScriptPlan & {
  /** The overlay behind `boot.overlay`, looked through. */
  readonly overlay?: FoundOverlay
  /** Further initrds of the profile, packed and there. */
  readonly additions?: readonly Addition[]
  /** `sshkeys.pub` is in the depot. */
  readonly hasSshKeys: boolean
  /** What the station's person may choose; for profile kind menu. */
  readonly menu: readonly string[]
}
