// What failed on the way to an upstream, as errors that the other rooms know. Pure; used by client and download.
import { BivouacError, MissingError, OutsideError } from '../boot/error.ts'

const tlsCodes = /^(ERR_TLS|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|ERR_SSL|EPROTO)/

/** Of Node's or undici's error: what happened, and whether it may pass. Errors of ours stay what they are. */
export function explainNetwork(error: unknown, place: string): BivouacError {
  if (error instanceof BivouacError) return error
  const { code, name, message } = rootOf(error)
  const make = (kind: string, what: string, mayRetry = true) => new OutsideError(kind, `${place}: ${what}`, mayRetry, { cause: error })
  if (name === 'AbortError' || code === 'ABORT_ERR' || name === 'TimeoutError') return make('upstream-aborted', 'given up', false)
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return make('upstream-unreachable', 'no connection in time')
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return make('upstream-timeout', 'no answer in time')
  if (code === 'UND_ERR_BODY_TIMEOUT') return make('upstream-timeout', 'nothing came any more')
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return make('upstream-unreachable', 'the name cannot be resolved')
  if (code === 'ECONNREFUSED') return make('upstream-unreachable', 'the connection was refused')
  if (tlsCodes.test(code)) return make('upstream-tls', `its certificate or TLS is not accepted (${code})`, false)
  if (/\b407\b/.test(message)) return make('upstream-denied', 'the proxy asks for a password', false)
  return make('upstream-unreachable', `the connection failed (${code || message.slice(0, 120)})`)
}

/** The innermost cause, where Node keeps the reason; of several tries at several addresses the first. */
function rootOf(error: unknown): { code: string; name: string; message: string } {
  let { code = '', name = '', message = '' } = (error ?? {}) as { code?: string; name?: string; message?: string }
  for (let inner: unknown = error, depth = 0; inner && depth < 5; depth++) {
    const next = inner as { code?: unknown; message?: string; cause?: unknown; errors?: unknown[] }
    if (typeof next.code === 'string') code = next.code
    inner = next.cause ?? next.errors?.[0]
  }
  return { code, name, message }
}

/** What a status that brings no file means: MissingError `upstream-missing` for 404 and 410, else OutsideError. */
export function statusError(status: number, place: string): BivouacError {
  if (status === 404 || status === 410) return new MissingError('upstream-missing', `${place} is not there (${status})`)
  if (status === 401 || status === 403 || status === 407)
    return new OutsideError('upstream-denied', `${place}: the server refuses (${status}); mirror.credentials may be needed`, false)
  return new OutsideError('upstream-status', `${place}: the server answers ${status}`, status === 429 || status >= 500)
}
