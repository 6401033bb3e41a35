// The artifact generator on the configured folders. Called by server.ts.
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { guessBase } from '../ipxe/base.ts'
import { createInstantLoaders, type InstantLoaders } from '../ipxe/instant.ts'
import { createPacker } from '../ipxe/packer.ts'
import { type IpxeTools, openIpxeTools } from '../ipxe/tools.ts'
import type { Closers } from './door.ts'

/** The artifact generator on the configured folders; its embedded scripts know this server's URL. */
export const openGenerator = ({ depot, state, http }: Config): Promise<IpxeTools> =>
  openIpxeTools({ depot, state, recipesFolder: join(import.meta.dirname, '../../ipxe'), site: { base: guessBase(http) }, now: Date.now })

/** Loaders with a station's own script, packed in a thread of their own. */
export function openStationLoaders({ artifacts, publisher }: IpxeTools, closers: Closers): InstantLoaders {
  const packer = createPacker()
  closers.push(packer.close)
  return createInstantLoaders({ artifacts, publisher, change: packer.change })
}
