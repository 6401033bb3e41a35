// Asks a running server over its HTTP API. Used by the commands that tell what is going on; never starts anything.
import { request } from 'undici'
import { type BivouacError, ConflictError, InputError, MissingError, OutsideError } from '../boot/error.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export type ApiClient = {
  /** The answer's JSON. Throws OutsideError when no server answers, and the server's own error by its class. */
  get: <T>(path: string) => Promise<T>
  post: <T>(path: string, body?: unknown) => Promise<T>
  call: <T>(method: Method, path: string, body?: unknown) => Promise<T>
  delete: <T>(path: string) => Promise<T>
  /** The answer's bytes. Throws as `get`. */
  download: (path: string) => Promise<Uint8Array>
  /** Lines of a server-sent event stream's `data:` fields, until the caller stops; from behind the event `lastId` on, where one is given. */
  follow: (path: string, signal: AbortSignal, lastId?: string) => AsyncGenerator<string>
}

/** A client of the server at `base` (`http://127.0.0.1:8080`). The token is needed from other machines and for whatever writes. */
export function createApiClient(base: string, token: string | undefined): ApiClient {
  const headers = token ? { authorization: `Bearer ${token}` } : {}
  const call = async <T>(method: Method, path: string, body?: unknown): Promise<T> => {
    const response = await reach(base, () =>
      request(base + path, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headersTimeout: 10_000,
      }),
    )
    const text = await response.body.text()
    if (response.statusCode >= 400) throw toError(response.statusCode, text, path)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  return {
    get: (path) => call('GET', path),
    post: (path, body) => call('POST', path, body),
    call,
    delete: (path) => call('DELETE', path),
    download: async (path) => {
      const response = await reach(base, () => request(base + path, { headers, headersTimeout: 60_000 }))
      if (response.statusCode >= 400) throw toError(response.statusCode, await response.body.text(), path)
      return new Uint8Array(await response.body.arrayBuffer())
    },
    follow: (path, signal, lastId) => followEvents(base, path, { ...headers, ...(lastId !== undefined && { 'last-event-id': lastId }) }, signal),
  }
}

async function* followEvents(base: string, path: string, headers: Record<string, string>, signal: AbortSignal): AsyncGenerator<string> {
  const response = await reach(base, () => request(base + path, { headers: { ...headers, accept: 'text/event-stream' }, signal, bodyTimeout: 0 }))
  if (response.statusCode >= 400) throw toError(response.statusCode, await response.body.text(), path)
  let rest = ''
  try {
    for await (const chunk of response.body.setEncoding('utf8')) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim()
    }
  } catch (error) {
    if (!signal.aborted) throw new OutsideError('server-gone', `the server at ${base} closed the stream`, true, { cause: error })
  }
}

async function reach<T>(base: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw new OutsideError('no-server', `no Bivouac answers at ${base}; start one with "npm start", or name another with --server`, true, {
      cause: error,
    })
  }
}

/** The server's problem+json as the error that it was there. */
export function toError(status: number, text: string, path: string): BivouacError {
  const problem = parseProblem(text)
  const message = problem.detail ?? problem.title ?? `the server answered ${status} to ${path}`
  const code = problem.code ?? `http-${status}`
  if (status === 401 || status === 403) return new InputError(code, `${message} (give the operator token in BIVOUAC_TOKEN or with --token)`)
  if (status === 404) return new MissingError(code, message)
  if (status === 409) return new ConflictError(code, message)
  if (status < 500) return new InputError(code, message)
  return new OutsideError(code, message, true)
}

function parseProblem(text: string): { detail?: string; title?: string; code?: string } {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
