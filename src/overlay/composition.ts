// What is asked of the composer and what it answers, as types. For the gate, the API, the commands and the history.
import type { OverlayReport } from '../alpine/overlay.ts'
import type { OverlayWarning } from '../alpine/overlay-warning.ts'
import type { Mac } from '../boot/address.ts'
import type { AlpineProfile, Release, Station } from '../boot/record.ts'

/** For whom an overlay is composed, and from what beside the layers. */
export type ComposeAsk = {
  readonly mac?: Mac
  readonly station?: Station
  readonly profile: AlpineProfile
  readonly release?: Release
  /** The station's own whole archive: absolute, or below the depot. `identity` is the version that is meant (store/version). */
  readonly archive?: { readonly path: string; readonly identity: string }
}

/** A composed overlay: a file of ours that never changes. */
export type Composed = {
  /** Absolute, in the state folder, mode 0600. */
  readonly path: string
  /** SHA-256 of the file, hex. */
  readonly digest: string
  /** SHA-256 of the tar before `etc/bivouac/overlay`, hex: what a station reports as `overlay=`. */
  readonly contentId: string
  /** The file as the disk tells it (store/version). */
  readonly identity: string
  readonly sizeBytes: number
  readonly report: OverlayReport
  /** In the order in which they were laid, `archive` among them; the last one wins. */
  readonly layers: readonly string[]
  /** It holds secrets: only for the station itself, with the ticket of its boot. */
  readonly isSecret: boolean
  /** Files that hold secrets; never shown. */
  readonly secretPaths: readonly string[]
  /** What was left out or changed on the way, and why. */
  readonly notes: readonly OverlayWarning[]
  /** An operator rolled back to this version: it is not what the layers say now. */
  readonly pinned?: { readonly version: number; readonly at: number; readonly who: string }
}

export type Composer = {
  /**
   * The station's overlay: at once when it was asked for just now. Undefined when neither profile nor station names a layer. Rejects with InputError
   * (a layer that is missing or wrong, a template that fails), OutsideError (the disk, or a layer that changes all the time).
   */
  readonly compose: (ask: ComposeAsk) => Composed | undefined | Promise<Composed | undefined>
}
