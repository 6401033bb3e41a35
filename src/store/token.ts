// The operator's bearer token: shown once when it is made, kept only as a hash. Used by server.ts at the first start and by the HTTP doors.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { MarkStore } from './port.ts'

/** By which a person, and a secret scanner, knows what it is. */
export const tokenPrefix = 'bvc_'

const markPrefix = 'token/'

// The token is 32 random bytes, so a fast hash is enough: there is nothing to guess.
const hash = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Makes the token of that name, in place of an older one, and answers its text, which is not kept anywhere. Resolves when durable. */
export async function createToken(marks: MarkStore, name = 'operator', random: (size: number) => Buffer = randomBytes): Promise<string> {
  const text = `${tokenPrefix}${random(32).toString('base64url')}`
  await marks.set(markPrefix + name, hash(text).toString('hex'))
  return text
}

/** On the first start makes the operator's token and answers its text; later answers undefined. */
export async function ensureToken(marks: MarkStore, random?: (size: number) => Buffer): Promise<string | undefined> {
  return marks.entries(markPrefix).length ? undefined : createToken(marks, 'operator', random)
}

/** Whose token this text is, or undefined when it is none of ours. The time it takes does not depend on how much of the text is right. */
export function verifyToken(marks: MarkStore, text: string): string | undefined {
  const given = hash(text)
  let owner: string | undefined
  for (const [key, hex] of marks.entries(markPrefix)) {
    const kept = Buffer.from(hex, 'hex')
    if (kept.length === given.length && timingSafeEqual(kept, given)) owner = key.slice(markPrefix.length)
  }
  return owner
}

/** Takes a token away. Resolves when durable. */
export const revokeToken = (marks: MarkStore, name: string): Promise<void> => marks.set(markPrefix + name, undefined)
