// NFS on the configured folders, with both engines. Called by server and cli.
import { join } from 'node:path'
import type { Emit } from '../boot/event.ts'
import { createKernel } from './kernel.ts'
import { createNfsLog } from './log.ts'
import { createNfs, type Nfs } from './phase.ts'
import { createUserSpace } from './user-space.ts'

export type OpenNfsOptions = {
  readonly depot: string
  readonly state: string
  readonly now: () => number
  readonly emit: Emit
  readonly beforeOpen?: () => Promise<void>
}

/** Closed until told otherwise; nothing is touched before the first call. */
export function openNfs({ depot, state, now, emit, beforeOpen }: OpenNfsOptions): Nfs {
  const folder = join(state, 'nfs')
  const log = createNfsLog(join(folder, 'nfs.log'))
  const engines = { ganesha: createUserSpace({ depot, folder, log }), kernel: createKernel({ depot, log }) }
  return createNfs({ depot, folder, engines, now, uptimeMs: () => performance.now(), emit, ...(beforeOpen && { beforeOpen }) })
}
