// What an importer found, before it is compared with what is here: wishes for records, files, settings, and what was not understood. Types and small makers.
// Made by the readers of this room, read by plan. Nothing here touches a disk.
import { findMac, type Mac } from '../boot/address.ts'
import { nameSchema } from '../boot/field.ts'
import type { Patch } from '../store/yaml-edit.ts'

/** A line, key or file of the old site that became nothing of ours, and why. Nothing is passed over in silence. */
export type Left = { readonly file: string; readonly line?: number; readonly text: string; readonly why: string }

/** A secret of a record: where its `{ file }` goes within the value, and the text, which stands in no message. */
export type WishedSecret = { readonly at: readonly string[]; readonly text: string }

export type StationWish = {
  /** As the old site says it; plan makes it valid and its own. */
  readonly name: string
  readonly macs: readonly Mac[]
  readonly value: Patch
  readonly secrets?: readonly WishedSecret[]
  readonly source: string
}

/** `value` is checked by the schema of profiles; what it refuses is told as left. */
export type ProfileWish = { readonly name: string; readonly value: Patch; readonly source: string; readonly line?: number }

/** A file for our side: copied, linked or written. `to` is absolute. */
export type FileWish = { readonly to: string } & (
  | { readonly from: string }
  | { readonly target: string }
  | { readonly text: string; readonly mode: number }
)

export type Draft = {
  readonly stations: StationWish[]
  readonly profiles: ProfileWish[]
  readonly files: FileWish[]
  /** For bivouac.yaml; lists are added to, words that stand there are kept. */
  settings: Patch
  /** What was guessed, or is to be looked at. */
  readonly notes: string[]
  readonly left: Left[]
}

/** Where things go. `folder` is that of bivouac.yaml. */
export type Places = { readonly depot: string; readonly state: string; readonly folder: string; readonly copies: boolean }

export const createDraft = (): Draft => ({ stations: [], profiles: [], files: [], settings: {}, notes: [], left: [] })

/** A valid name that is near to the text, and that `isTaken` does not know: `Büro 1` → `B-ro-1`. */
export function makeName(text: string, isTaken: (name: string) => boolean = () => false, fallback = 'station'): string {
  const plain = text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .slice(0, 200)
    .replace(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|-+$/g, '')
    .slice(0, 56)
  const start = nameSchema.safeParse(plain).success ? plain : fallback
  for (let number = 1; ; number++) {
    const name = number === 1 ? start : `${start}-${number}`
    if (!isTaken(name)) return name
  }
}

/** The MAC of a file name such as `01-52-54-…` or `52:54:….tar.gz`; undefined for another name. */
export function macOfName(name: string): Mac | undefined {
  const bare = name.replace(/\.(apkovl\.)?tar\.gz$/i, '')
  const plain = /^01-([0-9a-f]{2}-){5}[0-9a-f]{2}$/i.test(bare) ? bare.slice(3) : bare
  return findMac(plain)
}
