// Bivouac itself on the stage: the real `bivouac serve` with all doors open, over the depot that the others serve too. Used by all scenarios.
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Depot } from '../depot.ts'
import { own, ownSynced } from '../goal.ts'
import { relayAddress, serverAddress, stationNet } from '../place.ts'
import { poolFirst, poolLast } from './dhcp.ts'
import { httpPort } from './http.ts'
import type { Peer, Program } from './peer.ts'

const main = resolve(import.meta.dirname, '..', '..', '..', 'src', 'cli', 'main.ts')

export type OwnSettings = {
  readonly depot: Depot
  /** Further lines of the configuration. */
  readonly more?: string
  /** Where to write a CPU profile. */
  readonly profileFolder?: string | undefined
}

export const ownServer = (settings: OwnSettings): Peer => ownPeer(own, settings, false)

/** Waits until a lease is on the disk before it is acknowledged. */
export const ownSyncedServer = (settings: OwnSettings): Peer => ownPeer(ownSynced, settings, true)

const ownPeer = (name: string, settings: OwnSettings, isSynced: boolean): Peer => ({
  name,
  needs: [],
  launch: (folder) => [ownProgram(folder, settings, isSynced)],
})

function ownProgram(folder: string, { depot, profileFolder, more = '' }: OwnSettings, isSynced: boolean): Program {
  const file = join(folder, 'bivouac.yaml')
  writeFileSync(file, configText(folder, depot.folder, isSynced) + more)
  const profile = profileFolder ? ['--cpu-prof', `--cpu-prof-dir=${resolve(profileFolder)}`] : []
  const argv = [process.execPath, '--disable-warning=ExperimentalWarning', ...profile, main, '--config', file, 'serve', '--quiet']
  return { argv, ports: [`tcp:${httpPort}`, 'udp:69', 'udp:67'] }
}

// 192 MB: the big files of the scenarios are 131 MB together, and all of them are to be cached.
const configText = (folder: string, depot: string, isSynced: boolean): string => `
depot: ${depot}
state: ${folder}/state
http: { port: ${httpPort} }
cacheMegabytes: 192
dhcp: { sync: ${isSynced} }
unknown: bench
default: bench
networks:
  - name: bench
    subnet: ${stationNet}
    serverAddress: ${serverAddress}
    pool: ["${poolFirst}-${poolLast}"]
    router: [${relayAddress}]
    leaseSeconds: 43200
`
