// URLs of upstreams: read, followed from one to the next, and shown without what is secret. Pure; used by client and download.
import { InputError, OutsideError } from '../boot/error.ts'

/** An http or https URL. Throws InputError `upstream-url`. */
export function parseUrl(text: string): URL {
  const url = URL.parse(text)
  if (!url || !isHttp(url)) throw new InputError('upstream-url', `"${hideSecrets(text).slice(0, 200)}" is no http:// or https:// URL`)
  return url
}

const isHttp = ({ protocol }: URL): boolean => protocol === 'http:' || protocol === 'https:'

/** For messages and logs: without user, password, query and fragment, which may hold secrets. */
export const plainUrl = (url: URL | string): string => {
  const { origin, pathname } = typeof url === 'string' ? new URL(url) : url
  return `${origin}${pathname}`.slice(0, 300)
}

const hideSecrets = (text: string): string => text.replace(/\/\/[^/@]*@/, '//').replace(/[?#].*$/s, '')

export const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status)

/** Where a redirect leads. Throws OutsideError `upstream-redirect` for another kind of URL, and from https to http. */
export function nextUrl(from: URL, location: string): URL {
  const next = URL.parse(location, from.href)
  if (!next || !isHttp(next)) throw refuse(from, 'to what is no http:// or https:// URL')
  if (from.protocol === 'https:' && next.protocol === 'http:') throw refuse(from, `from https to ${plainUrl(next)}, which is not safe`)
  return next
}

const refuse = (from: URL, where: string): OutsideError => new OutsideError('upstream-redirect', `${plainUrl(from)} redirects ${where}`, false)
