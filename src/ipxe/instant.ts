// Loaders with a station's own script in them, made while it asks. For station paths; knows only what is announced here and has a slot.
// One is packed at a time: a BIOS loader takes about 50 ms of the processor, a UEFI one less than 1 ms.
import type { Artifacts } from './artifact.ts'
import { type Fingerprint, sha256 } from './fingerprint.ts'
import { type Blank, type Change, changeLoader, openBlank } from './patch.ts'
import type { Publisher } from './publish.ts'

export type InstantLoader = { readonly bytes: Uint8Array; readonly sha256: string; readonly from: Fingerprint }

export type InstantLoaders = {
  /**
   * The announced loader of that name with `script` in its slot; undefined when nothing is announced under the name.
   * @throws MissingError `slot-missing`, InputError `script-too-long`: never a loader with another script.
   */
  readonly open: (name: string, script: string) => Promise<InstantLoader | undefined>
}

export type InstantOptions = {
  readonly artifacts: Artifacts
  readonly publisher: Pick<Publisher, 'current'>
  /** Does the work; in this thread unless another is given. */
  readonly change?: (blank: Blank, change: Change) => Uint8Array | Promise<Uint8Array>
  readonly limitBytes?: number
  readonly blanks?: number
}

/** Keeps up to `limitBytes` of finished loaders, and the `blanks` opened last. */
export function createInstantLoaders({
  artifacts,
  publisher,
  change = changeLoader,
  limitBytes = 32 << 20,
  blanks = 8,
}: InstantOptions): InstantLoaders {
  const opened = new Map<Fingerprint, Promise<Blank>>()
  const made = new Map<string, Promise<InstantLoader>>()
  const sizes = new Map<string, number>()
  let last: Promise<unknown> = Promise.resolve()

  const blankOf = (fingerprint: Fingerprint): Promise<Blank> => {
    const known = opened.get(fingerprint) ?? artifacts.show(fingerprint).then((manifest) => openBlank(artifacts, manifest))
    opened.delete(fingerprint)
    opened.set(fingerprint, known)
    known.catch(() => opened.delete(fingerprint))
    if (opened.size > blanks) opened.delete(opened.keys().next().value ?? '')
    return known
  }

  const make = async (key: string, fingerprint: Fingerprint, script: string): Promise<InstantLoader> => {
    const blank = await blankOf(fingerprint)
    // In turns, with room for the event loop between two.
    const work = last.then(() => new Promise((resolve) => setImmediate(resolve))).then(() => change(blank, { script }))
    last = work.catch(() => {})
    const bytes = await work
    sizes.set(key, bytes.length)
    let sum = [...sizes.values()].reduce((a, b) => a + b, 0)
    for (const [old, size] of sizes) {
      if (sum <= limitBytes || old === key) break
      sizes.delete(old)
      made.delete(old)
      sum -= size
    }
    return { bytes, sha256: sha256(bytes), from: fingerprint }
  }

  const open: InstantLoaders['open'] = async (name, script) => {
    const fingerprint = (await publisher.current())?.names[name]
    if (fingerprint === undefined) return undefined
    const key = `${fingerprint}:${sha256(script)}`
    const known = made.get(key) ?? make(key, fingerprint, script)
    made.set(key, known)
    known.catch(() => made.delete(key))
    return known
  }
  return { open }
}
