// Operators' bearer tokens: shown once when they are made, kept only as hashes, each with a name and a role. Used by server.ts, the HTTP doors and the command line.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { InputError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { writeAtomic } from './atomic.ts'
import type { MarkStore } from './port.ts'

/** By which a person, and a secret scanner, knows what it is. */
export const tokenPrefix = 'bvc_'

/** What a token's holder may do; each role may all that the one before it may. `operate`: what stations boot next, power, saving. `admin`: records and tokens too. */
export const roles = ['read', 'operate', 'admin'] as const
export type Role = (typeof roles)[number]

export type Operator = { readonly name: string; readonly role: Role }

/** A token as it is listed. Times are ms since 1970. */
export type TokenInfo = Operator & { readonly madeAt: number | null; readonly by: string | null }

const markPrefix = 'token/'
const kept = z.object({ hash: z.string().regex(/^[0-9a-f]{64}$/), role: z.enum(roles), madeAt: z.number(), by: z.string() })

// The token is 32 random bytes, so a fast hash is enough: there is nothing to guess.
const hash = (text: string): Buffer => createHash('sha256').update(text).digest()

export type TokenWish = {
  readonly name?: string
  readonly role?: Role
  /** Who made it. */
  readonly by?: string
  readonly now?: number
  readonly random?: (size: number) => Buffer
}

/** Makes the token of that name, in place of an older one, and answers its text, which is not kept anywhere. Resolves when durable. Throws InputError for a name that is none. */
export async function createToken(
  marks: MarkStore,
  { name = 'operator', role = 'admin', by = 'this machine', now = Date.now(), random = randomBytes }: TokenWish = {},
): Promise<string> {
  const text = `${tokenPrefix}${random(32).toString('base64url')}`
  await keepToken(marks, text, { name, role, by, now })
  return text
}

async function keepToken(marks: MarkStore, text: string, { name, role, by, now }: Required<Omit<TokenWish, 'random'>>): Promise<void> {
  const named = nameSchema.safeParse(name)
  if (!named.success) throw new InputError('token-name', named.error.issues[0]?.message ?? 'not a name', { path: 'name' })
  await marks.set(markPrefix + name, JSON.stringify({ hash: hash(text).toString('hex'), role, madeAt: now, by }))
}

/** On the first start makes the operator's token and answers its text; later answers undefined. */
export async function ensureToken(marks: MarkStore, random?: (size: number) => Buffer): Promise<string | undefined> {
  return marks.entries(markPrefix).some(([key]) => key !== markPrefix + localName) ? undefined : createToken(marks, random ? { random } : {})
}

/** The name of the token that whoever can read the state folder has. */
export const localName = 'local'

const localFile = 'local-token'

/**
 * Whoever can read the state folder may do everything anyhow: its token lies there, mode 0600, so that the command line on the server's own
 * machine needs none. Made once. Throws OutsideError when the disk refuses.
 */
export async function keepLocalToken(marks: MarkStore, state: string): Promise<void> {
  const kept = readLocalToken(state)
  if (kept !== undefined && verifyToken(marks, kept)?.name === localName) return
  await writeAtomic(join(state, localFile), `${await createToken(marks, { name: localName })}\n`, 0o600)
}

/** That token, for those who may read it. */
export function readLocalToken(state: string): string | undefined {
  try {
    return readFileSync(join(state, localFile), 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Whose token this text is, or undefined when it is none of ours. The time it takes does not depend on how much of the text is right. */
export function verifyToken(marks: MarkStore, text: string): Operator | undefined {
  const given = hash(text)
  let owner: Operator | undefined
  for (const [key, value] of marks.entries(markPrefix)) {
    const { hash: hex, role } = readKept(value)
    const known = Buffer.from(hex, 'hex')
    if (known.length === given.length && timingSafeEqual(known, given)) owner = { name: key.slice(markPrefix.length), role }
  }
  return owner
}

/** All tokens by name; their texts and hashes are not told. */
export const listTokens = (marks: MarkStore): TokenInfo[] =>
  marks.entries(markPrefix).map(([key, value]) => {
    const { role, madeAt, by } = readKept(value)
    return { name: key.slice(markPrefix.length), role, madeAt, by }
  })

/** Takes a token away; answers whether there was one. Resolves when durable. */
export async function revokeToken(marks: MarkStore, name: string): Promise<boolean> {
  if (marks.get(markPrefix + name) === undefined) return false
  await marks.set(markPrefix + name, undefined)
  return true
}

/** A bare hash is a token of the first versions, which had no roles. */
function readKept(value: string): { hash: string; role: Role; madeAt: number | null; by: string | null } {
  if (/^[0-9a-f]{64}$/.test(value)) return { hash: value, role: 'admin', madeAt: null, by: null }
  try {
    const parsed = kept.safeParse(JSON.parse(value))
    if (parsed.success) return parsed.data
  } catch {
    // Nobody's.
  }
  return { hash: '', role: 'read', madeAt: null, by: null }
}

export const mayDo = (role: Role, needed: Role): boolean => roles.indexOf(role) >= roles.indexOf(needed)
