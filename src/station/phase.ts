// Configuration phases: for which stations the way back is open, until when, and by which tokens. Durable, as marks of the store, tokens as hashes.
// Used by the save routes. When in doubt it is closed: also when the clock was set back behind the opening.
import { createHash, randomBytes } from 'node:crypto'
import * as z from 'zod'
import { isWithin } from '../boot/age.ts'
import type { Mac } from '../boot/address.ts'
import { ConflictError } from '../boot/error.ts'
import { macSchema } from '../boot/field.ts'
import type { MarkStore } from '../store/port.ts'

/** A phase that is open. Times are milliseconds since 1970. */
export type Phase = {
  /** The record's name; null for a MAC without a record. */
  readonly station: string | null
  readonly macs: readonly Mac[]
  readonly openedAt: number
  readonly until: number
}

export type Phases = {
  /** Opens it, or goes on with it until the new end, and answers a token for it, which is kept nowhere. Resolves when durable. Throws ConflictError `phases-full`. */
  readonly open: (station: string | null, macs: readonly Mac[], durationMs: number) => Promise<{ readonly phase: Phase; readonly token: string }>
  /** One more token of an open phase; undefined when none is open for the MAC. */
  readonly renew: (mac: Mac) => Promise<string | undefined>
  /** Ends the phases of these MACs at once; resolves, with what was open, when that is durable. */
  readonly close: (macs: readonly Mac[]) => Promise<readonly Phase[]>
  readonly find: (mac: Mac) => Phase | undefined
  /** The open phase that this token belongs to. */
  readonly verify: (token: string) => Phase | undefined
  readonly list: () => readonly Phase[]
}

const prefix = 'save/'
const maxPhases = 1000
/** Of each phase so many tokens are good, the newest. */
const maxTokens = 8
/** Not a letter that a shell or a URL reads in its own way. */
export const phaseTokenPattern = /^[A-Za-z0-9_-]{43}$/

const kept = z.object({
  station: z.string().nullable(),
  macs: z.array(macSchema).min(1),
  openedAt: z.number(),
  until: z.number(),
  tokens: z.array(z.string()),
})
type Kept = z.output<typeof kept>

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64url')

export function createPhases(marks: MarkStore, now: () => number, random: (size: number) => Buffer = randomBytes): Phases {
  const readAll = (): readonly (readonly [key: string, phase: Kept])[] =>
    marks.entries(prefix).flatMap(([key, text]) => {
      const phase = read(text)
      return phase ? [[key, phase] as const] : []
    })
  const isOpen = ({ openedAt, until }: Phase): boolean => isWithin(until - openedAt, openedAt, now())
  const openOnes = () => readAll().filter(([, phase]) => isOpen(phase))
  const findKept = (mac: Mac) => openOnes().find(([, { macs }]) => macs.includes(mac))

  /** The newest token of the phase in the form that is kept, and in the form that is given. */
  async function addToken(key: string, phase: Kept): Promise<string> {
    const token = random(32).toString('base64url')
    await marks.set(key, JSON.stringify({ ...phase, tokens: [...phase.tokens, hashOf(token)].slice(-maxTokens) }))
    return token
  }

  async function open(station: string | null, macs: readonly Mac[], durationMs: number) {
    for (const [key, phase] of readAll()) if (!isOpen(phase)) await marks.set(key, undefined)
    const before = findKept(macs[0] as Mac)
    if (!before && openOnes().length >= maxPhases) throw new ConflictError('phases-full', `${maxPhases} phases are open; close some of them first`)
    const openedAt = now()
    const phase = { station, macs: [...macs], openedAt, until: openedAt + durationMs, tokens: before?.[1].tokens ?? [] }
    const token = await addToken(`${prefix}${macs[0]}`, phase)
    return { phase: viewOf(phase), token }
  }

  async function renew(mac: Mac): Promise<string | undefined> {
    const found = findKept(mac)
    return found && addToken(...found)
  }

  async function close(macs: readonly Mac[]): Promise<readonly Phase[]> {
    const closed = openOnes().filter(([, phase]) => phase.macs.some((mac) => macs.includes(mac)))
    for (const [key] of closed) await marks.set(key, undefined)
    return closed.map(([, phase]) => viewOf(phase))
  }

  function verify(token: string): Phase | undefined {
    if (!phaseTokenPattern.test(token)) return undefined
    const hash = hashOf(token)
    const found = openOnes().find(([, { tokens }]) => tokens.includes(hash))
    return found && viewOf(found[1])
  }

  const find = (mac: Mac): Phase | undefined => {
    const found = findKept(mac)
    return found && viewOf(found[1])
  }

  return { open, renew, close, find, verify, list: () => openOnes().map(([, phase]) => viewOf(phase)) }
}

const viewOf = ({ station, macs, openedAt, until }: Kept): Phase => ({ station, macs, openedAt, until })

function read(text: string): Kept | undefined {
  try {
    return kept.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
