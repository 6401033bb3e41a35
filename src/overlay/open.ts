// Everything of this room on one depot and state: blobs, versions, the composer, and taking what is saved. Made once by server, or by a command.
import { join } from 'node:path'
import { type Accepted, type AcceptAsk, createAccept } from './accept.ts'
import { type Blobs, createBlobs } from './blob.ts'
import { createComposer } from './composer.ts'
import type { Composer } from './composition.ts'
import { createHistory, type History } from './history.ts'

/** `overlays` and `packages` of the configuration, and the folders. */
export type OverlayConfig = {
  readonly depot: string
  readonly state: string
  readonly packages: { readonly root: string }
  readonly overlays: { readonly archive: 'first' | 'last'; readonly report: boolean; readonly keep: number; readonly saveMegabytes: number }
}

export type Overlays = {
  readonly blobs: Blobs
  readonly history: History
  readonly composer: Composer
  readonly accept: (ask: AcceptAsk) => Promise<Accepted>
  /** Removes blobs that no version and no composition names; also run by itself now and then. Answers how many. */
  readonly prune: () => Promise<number>
}

/** So many new compositions, and what nobody names any more is removed. */
const pruneEvery = 64

/** Opens nothing and writes nothing until it is asked for something. */
export function openOverlays({ depot, state, packages, overlays }: OverlayConfig, now: () => number): Overlays {
  const blobs = createBlobs(state, now)
  const history = createHistory({ depot, state, blobs, keep: overlays.keep, now })
  let fresh = 0
  const onComposed = (): void => {
    if (++fresh % pruneEvery === 0) prune().catch(() => undefined)
  }
  const { digests, ...composer } = createComposer({
    depot,
    state,
    packagesRoot: packages.root,
    settings: { archive: overlays.archive, report: overlays.report },
    blobs,
    history,
    now,
    onComposed,
  })
  const accept = createAccept({ depot, blobs, history, maxBytes: overlays.saveMegabytes * 1024 * 1024 })
  const prune = async (): Promise<number> => history.prune(await digests())
  return { blobs, history, composer, accept, prune }
}

/** Where layers are. */
export const layersFolder = (depot: string): string => join(depot, 'overlays')
