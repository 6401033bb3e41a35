// Opens the HTTP server with its API, and the packages server of its own. Called by server.ts.
import { createApp } from '../http/app.ts'
import { startHttp } from '../http/listen.ts'
import { createPowerDesk } from '../power/desk.ts'
import { runTool } from '../power/run.ts'
import { verifyToken } from '../store/token.ts'
import type { Doors } from './door.ts'
import { describePackages, startPackages } from './packages.ts'
import { openSaving } from './save.ts'

/** The packages server of its own, where one is configured. */
export async function openSecondHttp({ config, rooms, packages, emit, listening, closers, onFault }: Doors): Promise<void> {
  if (config.packages.port === undefined) return
  const findMac = rooms.presence.find
  const server = await startPackages(config, { service: packages, emit, mayTell: rooms.mayTell, now: Date.now, findMac, onFault })
  closers.push(() => server.stop())
  listening.push({ service: 'packages', address: config.packages.address, port: server.port })
}

/** Everything else on `http.port`: boot routes, API, page, save-back. Throws ConflictError for a taken port. */
export async function openHttp({
  config,
  rooms,
  ipxe,
  nfs,
  packages,
  store,
  records,
  manage,
  emit,
  listening,
  closers,
  status,
  onFault,
}: Doors): Promise<void> {
  const app = createApp({
    ...rooms,
    ipxe,
    manage,
    power: {
      desk: createPowerDesk({ ...config.power, networks: config.networks, env: process.env, run: runTool }),
      records: records.current,
      emit,
      now: Date.now,
    },
    nfs,
    mirror: { describe: () => describePackages(config, packages) },
    store,
    records,
    emit,
    status,
    onFault,
    now: Date.now,
    save: openSaving(config, rooms, store),
    verifyToken: (token) => verifyToken(store.marks, token),
    ...(config.http.url && { httpBase: config.http.url }),
  })
  const server = await startHttp({ app, address: config.http.address, port: config.http.port })
  closers.push(() => server.stop())
  listening.push({ service: 'http', address: config.http.address, port: server.port })
}
