// dnsmasq's lease file → who has which address, when dnsmasq is the engine. Used by server.ts in place of our own leases; writes nothing.
import { readFileSync } from 'node:fs'
import { findMac, type Ipv4, type Mac, parseIpv4 } from '../boot/address.ts'

export type ForeignLease = { readonly mac: Mac; readonly ip: Ipv4; readonly expiresAt: number; readonly hostname?: string }

/** `expiry mac address name client-id`; expiry 0 is a lease without end. Lines that are none are passed over. */
export function parseLeaseFile(text: string): ForeignLease[] {
  return text.split('\n').flatMap((line) => {
    const [expiry = '', macText = '', ipText = '', name = '*'] = line.split(' ')
    const mac = findMac(macText.replace(/^[0-9a-f]{2}-/i, ''))
    if (!mac || !/^\d{1,12}$/.test(expiry)) return []
    try {
      return [{ mac, ip: parseIpv4(ipText), expiresAt: expiry === '0' ? Infinity : Number(expiry), ...(name !== '*' && { hostname: name }) }]
    } catch {
      return []
    }
  })
}

/** The file as it is now, looked at once a second at most. */
export function createLeaseView(path: string, now: () => number): () => readonly ForeignLease[] {
  let [known, staleAt]: [readonly ForeignLease[], number] = [[], Number.NEGATIVE_INFINITY]
  return () => {
    if (now() < staleAt && staleAt - now() <= 1000) return known
    staleAt = now() + 1000
    try {
      known = parseLeaseFile(readFileSync(path, 'utf8')).filter(({ expiresAt }) => expiresAt * 1000 > now())
    } catch {
      known = []
    }
    return known
  }
}
