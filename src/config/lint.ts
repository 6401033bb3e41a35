// Logic of the configuration by itself: what each key may hold is the schema's; here is what they say together. Used by config.ts. Pure.
import { isAbsolute, relative } from 'node:path'
import { type Lint, lintNetworks } from '../boot/network.ts'
import type { Config } from './schema.ts'

const error = (code: string, path: string, message: string): Lint => ({ code, path, message, severity: 'error' })
const warning = (code: string, path: string, message: string): Lint => ({ code, path, message, severity: 'warning' })

/** All that is wrong with a configuration whose values are right one by one. */
export function lintConfig(config: Config): Lint[] {
  return [...lintNetworks(config.networks, []), ...lintHttp(config), ...lintTftp(config), ...lintFolders(config), ...lintQuirks(config)]
}

/** Addresses that only this machine can reach. A station would ask itself. */
const isOwnOnly = (host: string): boolean => /^(localhost|127\..*|\[?::1\]?)$/i.test(host)
const isNobody = (host: string): boolean => /^(0\.0\.0\.0|\[?::\]?)$/.test(host)

function lintHttp({ http, networks }: Config): Lint[] {
  const found: Lint[] = []
  const host = http.url && /^https?:\/\/(\[[^\]]*\]|[^:/]+)/.exec(http.url)?.[1]
  if (host && isNobody(host))
    found.push(
      error('http-url-unreachable', 'http.url', `${host} is no address that a station can reach; give the one under which stations see this server`),
    )
  else if (host && isOwnOnly(host) && networks.length)
    found.push(
      error('http-url-loopback', 'http.url', `${host} is each station's own address for itself; give the one under which stations see this server`),
    )
  if (http.url?.startsWith('https:'))
    found.push(
      warning(
        'http-url-tls',
        'http.url',
        'the loaders of distributions know no certificate of yours, and firmware seldom does: most stations will not get on with https',
      ),
    )
  if (isOwnOnly(http.address) && networks.length && !http.url)
    found.push(error('http-loopback', 'http.address', `stations cannot reach ${http.address}; use 0.0.0.0 or the address on their network`))
  return found
}

function lintTftp({ tftp, networks }: Config): Lint[] {
  const found: Lint[] = []
  if (!networks.length) return found
  if (!tftp.enabled) return [warning('tftp-off', 'tftp.enabled', 'DHCP names a loader to fetch by TFTP, and TFTP is off: only HTTP boot works')]
  if (dhcpPorts.has(tftp.port)) found.push(error('port-twice', 'tftp.port', `${tftp.port} is a port of DHCP`))
  else if (tftp.port !== 69) found.push(warning('tftp-port', 'tftp.port', `firmware asks for its loader on port 69 only, not on ${tftp.port}`))
  if (isOwnOnly(tftp.address))
    found.push(error('tftp-loopback', 'tftp.address', `stations cannot reach ${tftp.address}; use 0.0.0.0 or the address on their network`))
  if (tftp.blksizeMax > 1468)
    found.push(
      warning(
        'blksize-over-mtu',
        'tftp.blksizeMax',
        'more than 1468 does not fit an Ethernet frame: blocks are cut up, and some firmware cannot put them together',
      ),
    )
  return found
}

const dhcpPorts: ReadonlySet<number> = new Set([67, 68, 4011])

const isInside = (inner: string, outer: string): boolean => {
  const path = relative(outer, inner)
  return path === '' || (!path.startsWith('..') && !isAbsolute(path))
}

function lintFolders({ depot, state }: Config): Lint[] {
  if (depot === '/') return [error('depot-root', 'depot', 'the depot is served to everybody on the network: give it a folder of its own')]
  if (isInside(state, depot))
    return [error('state-in-depot', 'state', 'the state lies in the depot, which is served to everybody on the network: give it a folder of its own')]
  if (isInside(depot, state))
    return [error('depot-in-state', 'depot', 'the depot lies in the state folder, which is for the server alone: give it a folder of its own')]
  return []
}

function lintQuirks({ site }: Config): Lint[] {
  return site.quirks.flatMap(({ name, when }, index) => {
    const before = site.quirks.slice(0, index)
    if (before.some((other) => other.name === name)) return [error('quirk-twice', `quirks[${index}].name`, `there are two quirks named ${name}`)]
    const hiding = before.find((other) => Object.entries(other.when).every(([key, value]) => when[key as keyof typeof when] === value))
    return hiding
      ? [warning('quirk-hidden', `quirks[${index}].when`, `never comes to it: quirk ${hiding.name} before it holds for all of these`)]
      : []
  })
}
