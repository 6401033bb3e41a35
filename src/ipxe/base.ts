// The server's URL as stations see it, where nobody said it: for embedded scripts. Used by server and cli.
import { networkInterfaces } from 'node:os'

/** `http://10.9.0.1:8080`: the configured URL, else the address that HTTP listens on, else the first one that leaves this machine. */
export function guessBase({ url, address, port }: { readonly url?: string; readonly address: string; readonly port: number }): string {
  if (url !== undefined) return url.replace(/\/+$/, '')
  const isWildcard = address === '0.0.0.0' || address === '::'
  const all = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
  const outward = all.find((one) => one.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1'
  const host = isWildcard ? outward : address
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
