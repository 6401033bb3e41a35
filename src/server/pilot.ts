// PXE Pilot's interface within the whole server: its tree of links and our records tell the same. Called by server.ts.
import { join } from 'node:path'
import type { Emit } from '../boot/event.ts'
import type { Station } from '../boot/record.ts'
import type { Config } from '../config.ts'
import { startHttp } from '../http/listen.ts'
import { createPilotApp, type PilotAppDeps } from '../http/pilot.ts'
import { type PilotConfig, type PilotHost, readPilotFile } from '../pilot/config.ts'
import { openPilotHistory } from '../pilot/history.ts'
import { createPilot, type Pilot } from '../pilot/service.ts'
import { runTool } from '../power/run.ts'
import type { RecordEditor } from '../store/edit.ts'
import type { RecordBook } from '../store/record.ts'
import { verifyToken } from '../store/token.ts'
import { openTransactions } from '../store/transaction.ts'
import type { Doors } from './door.ts'

export type PilotDoor = {
  readonly port: number
  readonly oddities: Pilot['oddities']
  readonly stop: () => Promise<void>
}

export type PilotSetup = {
  readonly config: Config
  readonly records: RecordBook
  readonly editor: RecordEditor
  readonly verifyToken: PilotAppDeps['verifyToken']
  readonly emit: Emit
  readonly onFault: (error: unknown) => void
}

/** Opens it where the configuration names PXE Pilot's file. Throws InputError for a wrong file, ConflictError for a taken port. */
export async function startPilot({ config, records, editor, verifyToken, onFault }: PilotSetup): Promise<PilotDoor | undefined> {
  const { file, address, port, needsToken, showsSecrets } = config.pilot
  if (file === undefined) return undefined
  const parsed = readPilotFile(file)
  const transactions = await openTransactions(join(config.state, 'pilot-intents'))
  const history = await openPilotHistory(join(config.state, 'pilot-history.jsonl'))
  const pilot: Pilot = createPilot({
    config: () => parsed,
    transactions,
    run: runTool,
    now: Date.now,
    remember: history.append,
    showsSecrets,
    onDeploy: (hosts, configuration, by) => giveProfiles(records, editor, hosts, configuration, by),
  })
  const unfollow = records.onChange(() => void followRecords(parsed, records, pilot).catch(onFault))
  const app = createPilotApp({ pilot, verifyToken, needsToken, history: history.of, onFault })
  const server = await startHttp({ app, address, port: port ?? parsed.port })
  return {
    port: server.port,
    oddities: pilot.oddities,
    async stop() {
      unfollow()
      await server.stop()
      await history.close()
    },
  }
}

/** PXE Pilot's interface, where its file is named. What no deploy made in the place of its links is told. */
export async function openPilot({ config, store, records, manage, emit, warnings, listening, closers, onFault }: Doors): Promise<void> {
  const verify = (token: string) => verifyToken(store.marks, token)
  const pilot = await startPilot({ config, records, editor: manage.editor, verifyToken: verify, emit, onFault })
  if (!pilot) return
  closers.push(pilot.stop)
  listening.push({ service: 'pilot', address: config.pilot.address, port: pilot.port })
  for (const { host, odd } of await pilot.oddities())
    warnings.push(`PXE Pilot's host ${host}: a ${odd} stands where its link should be; the next deploy replaces it`)
}

const stationOf = (records: RecordBook, host: PilotHost): Station | undefined =>
  host.mac_addresses.map((mac) => records.current().stationByMac.get(mac)).find((station) => station !== undefined)

/** A configuration that has a profile of its name is that profile, for the hosts that are stations: then every loader gives the same. */
async function giveProfiles(
  records: RecordBook,
  editor: RecordEditor,
  hosts: readonly PilotHost[],
  configuration: string,
  by: string,
): Promise<void> {
  if (!records.current().profiles.has(configuration)) return
  const stations = hosts.flatMap((host) => stationOf(records, host) ?? []).filter(({ profile }) => profile !== configuration)
  if (stations.length)
    await editor.apply(
      stations.map(({ name }) => ({ kind: 'stations', name, action: 'change', patch: { profile: configuration } })),
      `${by}, by PXE Pilot's interface`,
    )
}

/** The other way: a station whose record names a profile of a configuration's name has its link too. */
async function followRecords(config: PilotConfig, records: RecordBook, pilot: Pilot): Promise<void> {
  for (const host of config.hosts) {
    const profile = stationOf(records, host)?.profile
    if (profile !== undefined) await pilot.follow(host, profile)
  }
}
