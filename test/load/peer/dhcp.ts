// DHCP servers beside us: same net behind the same relay address, 60 000 addresses, the same boot options. Used by scenario/dhcp and scenario/storm.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { relayAddress, serverAddress, serverInterface } from '../place.ts'
import { nodeProgram, type Peer, program } from './peer.ts'

export const poolFirst = '10.78.4.1'
export const poolLast = '10.78.249.250'
export const bootFile = 'undionly.kpxe'

/** Keeps leases in a file that it rewrites and syncs for each change. */
export const dnsmasqDhcp: Peer = {
  name: 'dnsmasq',
  needs: ['dnsmasq'],
  launch: (folder) => [dnsmasqProgram(folder, dnsmasqDhcpLines(folder))],
}

export const dnsmasqDhcpLines = (folder: string): string[] => [
  `dhcp-range=${poolFirst},${poolLast},255.255.0.0,12h`,
  `dhcp-option=3,${relayAddress}`,
  `dhcp-boot=${bootFile},,${serverAddress}`,
  `dhcp-leasefile=${folder}/dnsmasq.leases`,
  'dhcp-lease-max=65000',
  'dhcp-authoritative',
  'no-ping',
  'quiet-dhcp',
]

export function dnsmasqProgram(folder: string, lines: readonly string[], ports: readonly string[] = ['udp:67']) {
  const file = join(folder, 'dnsmasq.conf')
  const common = ['port=0', 'user=root', 'group=root', `interface=${serverInterface}`, 'bind-interfaces', `log-facility=${folder}/dnsmasq.log`]
  writeFileSync(file, `${[...common, ...lines].join('\n')}\n`)
  return { argv: [program('dnsmasq'), '-k', '-C', file, `--pid-file=${folder}/dnsmasq.pid`], ports }
}

/** Appends to a CSV file and never syncs it. */
export const kea: Peer = {
  name: 'kea',
  needs: ['kea-dhcp4'],
  launch: (folder) => {
    const file = join(folder, 'kea.json')
    writeFileSync(file, JSON.stringify({ Dhcp4: keaSettings(folder) }))
    const env = { KEA_PIDFILE_DIR: folder, KEA_LOCKFILE_DIR: folder, KEA_LOGGER_DESTINATION: join(folder, 'kea.log') }
    return [{ argv: [program('kea-dhcp4'), '-c', file], ports: ['udp:67'], env }]
  },
}

const keaSettings = (folder: string) => ({
  'interfaces-config': { interfaces: [serverInterface], 'dhcp-socket-type': 'udp' },
  'lease-database': { type: 'memfile', persist: true, name: join(folder, 'kea.csv'), 'lfc-interval': 0 },
  'valid-lifetime': 43_200,
  // Nobody has a reserved address here, so Kea need not look for one.
  'reservations-in-subnet': false,
  subnet4: [
    {
      subnet: '10.78.0.0/16',
      pools: [{ pool: `${poolFirst} - ${poolLast}` }],
      'option-data': [{ name: 'routers', data: relayAddress }],
      'next-server': serverAddress,
      'boot-file-name': bootFile,
    },
  ],
  loggers: [{ name: 'kea-dhcp4', output_options: [{ output: join(folder, 'kea.log') }], severity: 'ERROR' }],
})

const dhcpdPeer = (name: string, lines: readonly string[]): Peer => ({
  name,
  needs: ['dhcpd'],
  launch: (folder) => {
    const file = join(folder, 'dhcpd.conf')
    const leases = join(folder, 'dhcpd.leases')
    writeFileSync(leases, '')
    writeFileSync(file, [...lines, ...dhcpdLines].join('\n'))
    const argv = [program('dhcpd'), '-4', '-f', '-q', '-cf', file, '-lf', leases, '-pf', join(folder, 'dhcpd.pid'), serverInterface]
    return [{ argv, ports: ['udp:67'] }]
  },
})

const dhcpdLines = [
  'authoritative; ping-check false; ddns-update-style none; log-facility local7;',
  'default-lease-time 43200; max-lease-time 43200;',
  'subnet 10.77.0.0 netmask 255.255.255.0 { }',
  'subnet 10.78.0.0 netmask 255.255.0.0 {',
  `  range ${poolFirst} ${poolLast}; option routers ${relayAddress};`,
  `  next-server ${serverAddress}; filename "${bootFile}";`,
  '}',
  '',
]

export const dhcpd = dhcpdPeer('dhcpd', [])
export const dhcpdNoSync = dhcpdPeer('dhcpd-no-fsync', ['dont-use-fsync true;'])

/** The npm package `dhcp`; a PXE request ends it, so it is asked as a plain client asks. */
export const npmDhcp: Peer = {
  name: 'npm-dhcp',
  needs: [],
  launch: () => [{ argv: nodeProgram('npm-dhcp.ts', poolFirst, poolLast), ports: ['udp:67'] }],
}
