// Who may do what with the operator API: a bearer token for everything, and reading from this very machine without one.
// Used by app in front of the API and the page. Guessing is slowed down per address.
import type { Context } from 'hono'
import { mayDo, type Operator, type Role } from '../store/token.ts'
import { callOf, type HttpEnv, isLocalCaller, peerOf } from './caller.ts'
import { refuse } from './problem.ts'

/** Which role a route needs; `read` is given to this very machine without a token. */
export type Right = Role

/** Wrong tokens that an address may send at once, how fast it may try again, and how many addresses are remembered. */
const attempts = { burst: 10, refillMs: 6_000, addresses: 4096 }

type Bucket = { tokens: number; at: number }

export type Rights = {
  /** Undefined when the caller may, else the refusal to send: 401, 403 or 429, problem+json. */
  readonly check: (c: Context<HttpEnv>, right: Right) => Promise<Response | undefined>
  /** Who asks, for histories: the token's name, or `this machine`. To be asked after `check`. */
  readonly nameOf: (c: Context<HttpEnv>) => string
}

export type RightsDeps = {
  /** Whose token is this? Compares hashes; never throws for a wrong one. */
  readonly verifyToken: (token: string) => Operator | undefined | Promise<Operator | undefined>
  readonly now: () => number
}

/** One keeper for the whole app: wrong tokens count together, whatever the route. */
export function createRights({ verifyToken, now }: RightsDeps): Rights {
  const buckets = new Map<string, Bucket>()
  const operators = new WeakMap<Request, Operator>()

  // The attempt is paid before the token is looked at, so that many at once count too; a right token gets it back.
  const spend = (peer: string): Bucket | undefined => {
    const at = now()
    const bucket = buckets.get(peer) ?? { tokens: attempts.burst, at }
    bucket.tokens = Math.min(attempts.burst, bucket.tokens + Math.max(0, at - bucket.at) / attempts.refillMs)
    bucket.at = at
    buckets.delete(peer)
    buckets.set(peer, bucket)
    if (buckets.size > attempts.addresses) buckets.delete(buckets.keys().next().value as string)
    if (bucket.tokens < 1) return undefined
    bucket.tokens--
    return bucket
  }

  const check = async (c: Context<HttpEnv>, right: Right): Promise<Response | undefined> => {
    const header = c.req.header('authorization')
    if (header === undefined) return right === 'read' && isLocalCaller(callOf(c)) ? undefined : refuseToken('a token of an operator is needed')
    const token = /^Bearer +([A-Za-z0-9._~+/=-]{1,256})$/i.exec(header)?.[1]
    if (token === undefined) return refuseToken('the Authorization header is not of the form "Bearer <token>"')
    const bucket = spend(peerOf(callOf(c)))
    if (!bucket) return refuse(429, 'too-many-attempts', 'too many wrong tokens from this address; wait a little', { 'Retry-After': '6' })
    const operator = await verifyToken(token)
    if (!operator) return refuseToken('the token is not valid', ', error="invalid_token"')
    bucket.tokens = Math.min(attempts.burst, bucket.tokens + 1)
    if (!mayDo(operator.role, right)) return refuseRole(operator, right)
    operators.set(c.req.raw, operator)
    return undefined
  }
  return { check, nameOf: (c) => operators.get(c.req.raw)?.name ?? 'this machine' }
}

const refuseRole = ({ name, role }: Operator, right: Right): Response =>
  refuse(403, 'role-too-low', `the token "${name}" has the role ${role}, and this needs ${right}`)

function refuseToken(detail: string, more = ''): Response {
  const help = `${detail}; send "Authorization: Bearer <token>"`
  return refuse(401, 'token-needed', help, { 'WWW-Authenticate': `Bearer realm="bivouac"${more}` })
}
