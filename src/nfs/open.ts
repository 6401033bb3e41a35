// NFS on the configured folders, with both engines. Called by server and cli.
import { join } from 'node:path'
import { formatSubnet } from '../boot/address.ts'
import type { Emit } from '../boot/event.ts'
import type { Network } from '../boot/network.ts'
import { createKernel } from './kernel.ts'
import { createNfsLog } from './log.ts'
import { createNfs, type Nfs } from './phase.ts'
import { createUserSpace } from './user-space.ts'

export type OpenNfsOptions = {
  readonly depot: string
  readonly state: string
  /** Whose subnets may where an operator names nobody. */
  readonly networks: readonly Network[]
  readonly now: () => number
  readonly emit: Emit
  readonly beforeOpen?: () => Promise<void>
}

/** Closed until told otherwise; nothing is touched before the first call. */
export function openNfs({ depot, state, networks, now, emit, beforeOpen }: OpenNfsOptions): Nfs {
  const folder = join(state, 'nfs')
  const log = createNfsLog(join(folder, 'nfs.log'))
  const engines = { ganesha: createUserSpace({ folder, log }), kernel: createKernel({ log }) }
  const clients = networks.map(({ subnet }) => formatSubnet(subnet))
  return createNfs({ depot, folder, engines, clients, now, uptimeMs: () => performance.now(), emit, ...(beforeOpen && { beforeOpen }) })
}
