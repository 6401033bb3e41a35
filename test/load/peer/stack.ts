// Whole boot stacks beside us: DHCP, TFTP and HTTP of several servers together. Used by scenario/storm.
import { dnsmasqDhcpLines, dnsmasqProgram, kea, npmDhcp } from './dhcp.ts'
import { honoStatic, nginx } from './http.ts'
import { joinPeers, type Peer } from './peer.ts'
import { dnsmasqTftpLines, npmTftp, tftpdHpa } from './tftp.ts'

export const npmStack = (files: string): Peer => joinPeers('npm-stack', [npmDhcp, npmTftp(files), honoStatic(files)])

export const stacks = (files: string): Peer[] => [
  joinPeers('dnsmasq+nginx', [dnsmasqBoth(files), nginx(files)]),
  joinPeers('kea+hpa+nginx', [kea, tftpdHpa(files), nginx(files)]),
  npmStack(files),
]

const dnsmasqBoth = (files: string): Peer => ({
  name: 'dnsmasq',
  needs: ['dnsmasq'],
  launch: (folder) => [dnsmasqProgram(folder, [...dnsmasqDhcpLines(folder), ...dnsmasqTftpLines(files)], ['udp:67', 'udp:69'])],
})
