// Errors → HTTP, in one place. The API tells people what is wrong (RFC 9457 problem+json); boot routes answer a bare status, because
// a body on a failed boot file helps nobody and an empty 404 is what Alpine's init survives.
import { BivouacError, ConflictError, DecodeError, InputError, MissingError, OutsideError } from '../boot/error.ts'

export type Problem = {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly place?: InputError['place']
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
}

/** The status of an error: by its class. What is no error of ours is a fault of ours, 500. */
export function statusOf(error: unknown): number {
  if (error instanceof DecodeError || error instanceof InputError) return 400
  if (error instanceof MissingError) return 404
  if (error instanceof ConflictError) return 409
  if (error instanceof OutsideError) return error.mayRetry ? 503 : 502
  return 500
}

// iPXE waits as long as Retry-After says and asks again, for as long as it gets 503.
export const retryAfter: Readonly<Record<number, Record<string, string>>> = { 503: { 'Retry-After': '2' } }

/** The error as problem+json. Of a fault of ours only the fact is told: its text may hold paths or secrets. */
export function describeProblem(error: unknown): Problem {
  const status = statusOf(error)
  const base = { type: 'about:blank', title: titles[status] ?? 'Error', status } as const
  if (!(error instanceof BivouacError)) return { ...base, code: 'internal', detail: 'a fault of the server; its log says more' }
  return { ...base, code: error.code, detail: error.message, ...(error instanceof InputError && { place: error.place }) }
}

/** An answer of the API for an error. */
export function respondProblem(error: unknown): Response {
  const problem = describeProblem(error)
  return problemResponse(problem, retryAfter[problem.status])
}

/** An answer of the API for a refusal that is no error: no token, too many attempts, no such route. */
export function refuse(status: number, code: string, detail: string, headers?: Record<string, string>): Response {
  return problemResponse({ type: 'about:blank', title: titles[status] ?? 'Error', status, code, detail }, headers)
}

function problemResponse(problem: Problem, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store', ...headers },
  })
}
