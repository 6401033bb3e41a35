// Makes a station's overlay from its layers, on demand; kept by what it was made from. Asked by the gate, the API and the commands.
import type { Blobs } from './blob.ts'
import type { Composer } from './composition.ts'
import type { History } from './history.ts'

export type ComposerOptions = {
  readonly depot: string
  readonly state: string
  /** `packages.root` of the configuration: its `keys/` has the public keys of private repositories. */
  readonly packagesRoot: string
  readonly settings: { readonly archive: 'first' | 'last'; readonly report: boolean }
  readonly blobs: Blobs
  /** For pinned versions; without it there are none. */
  readonly history?: Pick<History, 'pinOf'>
  readonly now: () => number
  /** How long a look at the layers is believed. */
  readonly revalidateMs?: number
}

/** Not yet: names no layer for anybody. */
export function createComposer(_options: ComposerOptions): Composer {
  return { compose: () => undefined, list: async () => undefined }
}
