// `user:password` for one upstream, kept where no log or listing finds it. Read by server and the command line, used by client.
import { readFileSync, statSync } from 'node:fs'
import { InputError } from '../boot/error.ts'
import { parseUrl } from './url.ts'

export type Credentials = {
  /** What goes into `Authorization` for this URL: undefined for every server but the one that they are for. */
  readonly headerFor: (url: URL) => string | undefined
}

/** For the server of `upstream` (its scheme, host and port). `text` is `user:password`. Throws InputError `upstream-credentials`. */
export function createCredentials(text: string, upstream: string): Credentials {
  const pair = text.replace(/\r?\n$/, '')
  if (!/^[^:\r\n]+:[^\r\n]*$/.test(pair)) throw new InputError('upstream-credentials', 'the file holds one line, user:password')
  const { origin } = parseUrl(upstream)
  // In a closure: what prints the object prints a function.
  const header = `Basic ${Buffer.from(pair).toString('base64')}`
  return { headerFor: (url) => (url.origin === origin ? header : undefined) }
}

/** The same of a file that only its owner may read. Throws InputError. */
export function readCredentials(file: string, upstream: string): Credentials {
  const refuse = (message: string, cause?: unknown) => new InputError('upstream-credentials', message, { file }, { cause })
  let text: string
  try {
    if (statSync(file).mode & 0o077) throw refuse(`others can read it; run: chmod 600 ${file}`)
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof InputError) throw error
    throw refuse(`cannot be read: ${(error as Error).message}`, error)
  }
  return createCredentials(text, upstream)
}
