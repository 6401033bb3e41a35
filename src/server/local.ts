// Records and gate without a server: for commands that explain, compose or import on the files alone. Called by cli; opens no socket.
import type { Config } from '../config.ts'
import { createHostFileReader } from '../dnsmasq/source.ts'
import type { LoaderLibrary } from '../ipxe/library.ts'
import type { Desk } from '../overlay/desk.ts'
import type { Gate } from '../station/answer.ts'
import type { Scripts } from '../station/script.ts'
import { openRecords, type RecordBook } from '../store/record.ts'
import { createRooms } from './room.ts'

/** What the record book reads for this configuration: the depot, and the site's host files. */
export const recordOptions = ({ depot, networks, dnsmasq: { hosts, dhcphosts } }: Config) => ({
  depot,
  networks,
  now: Date.now,
  ...((hosts.length > 0 || dhcphosts.length > 0) && { hostFiles: createHostFileReader({ hosts, dhcphosts, networks }) }),
})

export type LocalGate = {
  readonly gate: Gate
  readonly records: RecordBook
  readonly loaders: LoaderLibrary
  readonly scripts: Scripts
  readonly desk: Desk
  readonly close: () => void
}

/** The gate alone, over the records as they are: for `explain` without a server. Opens no socket and writes nothing but the overlays that it composes. */
export async function createLocalGate(config: Config): Promise<LocalGate> {
  const records = await openRecords({ ...recordOptions(config), emit: () => {} })
  const { gate, loaders, scripts, desk } = createRooms(config, records, () => {})
  return { gate, records, loaders, scripts, desk, close: records.close }
}
