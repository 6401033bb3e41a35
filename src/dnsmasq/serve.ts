// dnsmasq as this server's DHCP and DNS: the engine over the records in force, reloaded when they change. Called by server.ts where the site wants it.
import { userInfo } from 'node:os'
import { contains, type Ipv4, type Mac } from '../boot/address.ts'
import type { Emit } from '../boot/event.ts'
import type { Network } from '../boot/network.ts'
import type { Records, Site } from '../boot/record.ts'
import type { Lease } from '../store/port.ts'
import { composeHostFiles } from './compose.ts'
import { type EngineFiles, type EnginePaths, type ReloadReport, startEngine } from './engine.ts'
import { createLeaseView, type ForeignLease } from './lease-file.ts'
import { makeSite } from './model.ts'
import { renderDnsmasq } from './render.ts'
import { readHostFiles } from './source.ts'

export type EngineSetup = {
  readonly settings: {
    readonly hosts: readonly string[]
    readonly dhcphosts: readonly string[]
    readonly program: string
    readonly servers: readonly string[]
  }
  /** A folder of its own below the state folder. */
  readonly folder: string
  readonly networks: readonly Network[]
  readonly site: Site
  readonly records: () => Records
  readonly addressOn: (network: Network) => Ipv4 | undefined
  readonly httpBaseOf: (address: Ipv4) => string
  readonly hasLoader: (file: string) => boolean
  readonly emit: Emit
  readonly now: () => number
}

/** What server.ts needs of it, in the shape of our own DHCP's leases. */
export type EngineDoor = {
  readonly version: string
  readonly reload: () => Promise<ReloadReport>
  readonly leases: {
    readonly findByMac: (mac: Mac) => Lease | undefined
    readonly findMac: (ip: Ipv4) => Mac | undefined
    readonly list: () => Lease[]
  }
  readonly stop: () => Promise<void>
}

/** The three files that the engine is to read. `paths` stand in the main file. */
export async function renderEngine(setup: Omit<EngineSetup, 'emit' | 'folder' | 'now'>, paths: EnginePaths): Promise<EngineFiles> {
  const { settings, networks, records, site, addressOn, httpBaseOf, hasLoader } = setup
  const model = makeSite({ networks, records: records(), site, addressOn, httpBaseOf, hasLoader })
  const texts = composeHostFiles(model, records(), await readHostFiles(settings))
  const conf = renderDnsmasq(model, {
    dhcphosts: [paths.dhcphosts],
    hosts: [paths.hosts],
    leaseFile: paths.leases,
    pidFile: '',
    servers: settings.servers,
    user: userInfo().username,
  })
  return { conf, ...texts }
}

/** Starts it. Throws OutsideError without the program, InputError for what it refuses. */
export async function serveByDnsmasq(setup: EngineSetup): Promise<EngineDoor> {
  const { folder, emit, now, networks } = setup
  const engine = await startEngine({
    program: setup.settings.program,
    folder,
    render: (paths) => renderEngine(setup, paths),
    tell: (event) => emit({ at: now(), ...event }),
  })
  const reload = async () => {
    const report = await engine.reload()
    if (report.action !== 'none')
      emit({
        at: now(),
        kind: 'record-good',
        detail: { file: 'dnsmasq', action: report.action, changed: report.changed.join(', '), reason: report.why },
      })
    return report
  }
  const view = createLeaseView(engine.paths.leases, now)
  const toLease = ({ mac, ip, expiresAt, hostname }: ForeignLease): Lease => ({
    network: networks.find(({ subnet }) => contains(subnet, ip))?.name ?? 'dnsmasq',
    mac,
    ip,
    state: 'bound',
    expiresAt,
    ...(hostname !== undefined && { hostname }),
  })
  return {
    version: engine.version,
    reload,
    leases: {
      findByMac: (mac) =>
        view()
          .filter((lease) => lease.mac === mac)
          .map(toLease)[0],
      findMac: (ip) => view().find((lease) => lease.ip === ip)?.mac,
      list: () => view().map(toLease),
    },
    stop: engine.stop,
  }
}
