// A small site for tests of DHCP: networks from their written form, and the real decision over stations with fixed addresses.
import { type Ipv4, type Mac, parseIpv4, parseMac } from '../../src/boot/address.ts'
import type { Client } from '../../src/boot/client.ts'
import { type Decision, decide } from '../../src/boot/decide.ts'
import type { Quirk } from '../../src/boot/firmware.ts'
import { type Network, networkSchema } from '../../src/boot/network.ts'
import { indexRecords, type Site, stationSchema } from '../../src/boot/record.ts'

export const bareSite: Site = {
  defaultProfile: 'menu',
  unknown: 'menu',
  withoutOverlay: 'wait',
  foreignIpxe: 'script',
  loaders: new Map(),
  quirks: [],
}

/** A network as the configuration has it, defaults filled in. */
export const makeNetwork = (written: Record<string, unknown>): Network => networkSchema.parse({ name: 'lab', ...written })

export type TestSite = {
  readonly decide: (client: Client) => Decision
  /** As DhcpOptions and createLeases want it. */
  readonly reservedFor: (ip: Ipv4) => readonly Mac[] | undefined
}

/** Stations by MAC with their address; all loaders are there unless `loaders` is false. */
export function createTestSite(
  stations: Record<string, string>,
  { foreignIpxe = 'script', loaders = true, quirks = [] }: { foreignIpxe?: Site['foreignIpxe']; loaders?: boolean; quirks?: readonly Quirk[] } = {},
): TestSite {
  const list = Object.entries(stations).map(([macs, address], index) =>
    stationSchema.parse({ name: `station-${index + 1}`, macs: macs.split(','), address }),
  )
  const records = indexRecords(list, [], [])
  const site = { ...bareSite, foreignIpxe, quirks }
  const byAddress = new Map(list.map(({ address, macs }) => [address as Ipv4, macs]))
  return {
    decide: (client) => decide(client, { site, records, hasLoader: () => loaders, sinceLoaderMs: undefined }),
    reservedFor: (ip) => byAddress.get(ip),
  }
}

export const mac = (text: string): Mac => parseMac(text)
export const ip = (text: string): Ipv4 => parseIpv4(text)
