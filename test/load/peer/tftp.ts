// TFTP servers beside us, each serving the one folder of test files. Used by scenario/tftp and scenario/storm.
import { dnsmasqProgram } from './dhcp.ts'
import { nodeProgram, type Peer, program } from './peer.ts'
import { serverAddress } from '../place.ts'

export const dnsmasqTftpLines = (files: string): string[] => ['enable-tftp', `tftp-root=${files}`, 'tftp-max=2000', 'quiet-tftp']

export const dnsmasqTftp = (files: string): Peer => ({
  name: 'dnsmasq',
  needs: ['dnsmasq'],
  launch: (folder) => [dnsmasqProgram(folder, dnsmasqTftpLines(files), ['udp:69'])],
})

/** Debian's default: a process for each transfer. */
export const tftpdHpa = (files: string): Peer => ({
  name: 'tftpd-hpa',
  needs: ['in.tftpd'],
  launch: () => [{ argv: [program('in.tftpd'), '-L', '-u', 'root', '-a', `${serverAddress}:69`, '-s', files], ports: ['udp:69'] }],
})

export const atftpd = (files: string): Peer => ({
  name: 'atftpd',
  needs: ['atftpd'],
  launch: (folder) => {
    const settings = ['--user', 'root', '--group', 'root', '--maxthread', '2000', '--verbose=0', '--logfile', `${folder}/atftpd.log`]
    const place = ['--daemon', '--no-fork', '--bind-address', serverAddress, '--port', '69']
    return [{ argv: [program('atftpd'), ...place, ...settings, files], ports: ['udp:69'] }]
  },
})

export const npmTftp = (files: string): Peer => ({
  name: 'npm-tftp',
  needs: [],
  launch: () => [{ argv: nodeProgram('npm-tftp.ts', files), ports: ['udp:69'] }],
})
