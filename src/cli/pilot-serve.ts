// PXE Pilot's server by itself: its file, its port, its tree, and nothing else of ours. Called by `bivouac pilot server`; serve wires the same into the whole.
import { join } from 'node:path'
import { createPilotApp } from '../http/pilot.ts'
import { startHttp } from '../http/listen.ts'
import { readPilotFile } from '../pilot/config.ts'
import { openPilotHistory } from '../pilot/history.ts'
import { createPilot } from '../pilot/service.ts'
import { runTool } from '../power/run.ts'
import { openTransactions } from '../store/transaction.ts'
import { say, warn } from './output.ts'

export type PilotServerOptions = { readonly config: string; readonly state: string; readonly strict?: boolean; readonly address?: string }

/** Listens until it is told to stop (SIGTERM, SIGINT); SIGHUP reads the file again, and keeps the old one while the new one is wrong. Throws InputError for a wrong file, ConflictError for a taken port. */
export async function startPilotServer({ config: file, state, strict = false, address = '::' }: PilotServerOptions): Promise<void> {
  let config = readPilotFile(file)
  const transactions = await openTransactions(join(state, 'intents'))
  const history = await openPilotHistory(join(state, 'history.jsonl'))
  const pilot = createPilot({ config: () => config, transactions, run: runTool, now: Date.now, remember: history.append, showsSecrets: strict })
  const app = createPilotApp({
    pilot,
    verifyToken: () => undefined,
    needsToken: false,
    history: history.of,
    onFault: (error) => warn(String(error)),
  })
  const server = await startHttp({ app, address, port: config.port })
  say(`PXE Pilot's interface on port ${server.port}: ${config.hosts.length} hosts, tree ${config.tftpRoot}`)
  for (const { host, odd } of await pilot.oddities()) warn(`host ${host}: a ${odd} stands where its link should be; the next deploy replaces it`)
  process.on('SIGHUP', () => {
    try {
      config = readPilotFile(file)
      say(`${file} read again: ${config.hosts.length} hosts`)
    } catch (error) {
      warn(`${(error as Error).message}\nthe old configuration stays in force`)
    }
  })
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
  await server.stop()
  await history.close()
}
