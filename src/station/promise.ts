// The overlays that scripts have just named: held until the stations have fetched them, whatever happens to the files meanwhile. Used by the door.
// Between its script and its overlay a station needs half a minute; one that then finds nothing comes up as an open Alpine.
import { isWithin } from '../boot/age.ts'
import type { Mac } from '../boot/address.ts'
import type { Content } from '../boot/content.ts'
import { createByteCache } from './cache.ts'
import { wholeContent } from './content.ts'
import type { Files } from './file.ts'
import { type Maybe, onward, orElse } from './maybe.ts'
import { typeOf } from './path.ts'
import { createRecent } from './recent.ts'
import type { FoundOverlay } from './shelf.ts'

export type Promises = {
  /** A script with this overlay goes out. Reads the overlay once for each version; never throws or rejects. */
  readonly make: (mac: Mac, overlay: FoundOverlay) => Maybe<void>
  /** What was promised to this MAC, when nothing else can be served and its bytes are still held. */
  readonly keep: (mac: Mac) => Maybe<Kept | undefined>
}

type Kept = { readonly overlay: FoundOverlay; readonly content: Content }

type Made = { readonly overlay: FoundOverlay; readonly at: number }

/** How long a promise is kept: BIOS, kernel and initramfs over a slow line. */
const keptMs = 180_000
const leastMacs = 10_240

/** `bytesMax`: for all versions together. Overlays of more than a quarter of it are not held. */
export function createPromises({ files, now, bytesMax = 32 * 1024 * 1024 }: { files: Files; now: () => number; bytesMax?: number }): Promises {
  const made = createRecent<Made>(leastMacs)
  const held = createByteCache(bytesMax)
  const tooBig = createRecent<true>(1000)

  function make(mac: Mac, overlay: FoundOverlay): Maybe<void> {
    made.set(mac, { overlay, at: now() })
    if (held.get(overlay.identity) || tooBig.get(overlay.identity)) return
    return orElse<void>(
      () => onward(overlay.file === undefined ? files.open(overlay.path) : files.openOutside(overlay.file), (content) => hold(overlay, content)),
      () => undefined,
    )
  }

  function hold({ identity, file }: FoundOverlay, { whole, etag, close }: Content): void {
    close()
    if (!whole) tooBig.set(identity, true)
    else if (file !== undefined || etag.split('#', 1)[0] === identity) held.put(identity, whole)
  }

  function keep(mac: Mac): Maybe<Kept | undefined> {
    const promised = made.get(mac)
    if (!promised || !isWithin(keptMs, promised.at, now())) return undefined
    const { overlay } = promised
    const bytes = held.get(overlay.identity)
    // Without a time: it is no file any more, and nobody may take it for the one that will be there.
    // What was composed is named by its content: whatever its layers became, its file is the one that was promised.
    if (!bytes && overlay.file !== undefined) return onward(files.openOutside(overlay.file), (content) => ({ overlay, content }))
    return bytes && { overlay, content: wholeContent(bytes, { etag: overlay.identity, type: typeOf(overlay.path) }) }
  }

  return { make, keep }
}
