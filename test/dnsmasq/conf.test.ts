// dnsmasq.conf, dhcpd.conf and Kea's JSON from one model, checked by the real parsers where they are; and a dnsmasq.conf read back into it.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { Ipv4 } from '../../src/boot/address.ts'
import { networkSchema } from '../../src/boot/network.ts'
import { parseConf } from '../../src/dnsmasq/conf.ts'
import { lintDhcpd, renderDhcpd } from '../../src/dnsmasq/dhcpd.ts'
import { importConf } from '../../src/dnsmasq/import.ts'
import { renderKea } from '../../src/dnsmasq/kea.ts'
import { makeSite } from '../../src/dnsmasq/model.ts'
import { renderDhcpHosts, renderDnsmasq, renderHosts } from '../../src/dnsmasq/render.ts'
import { indexRecords, stationSchema } from '../../src/boot/record.ts'
import { makeScratch } from '../support/scratch.ts'
import { bareSite, makeNetwork } from '../support/site.ts'
import { describeWith } from '../support/tool.ts'

const written = [
  {
    name: 'lan',
    interface: 'lo',
    subnet: '192.168.103.0/24',
    serverAddress: '192.168.103.240',
    pool: ['192.168.103.100-192.168.103.200'],
    router: ['192.168.103.254'],
    dns: ['192.168.103.240', '9.9.9.9'],
    ntp: ['192.168.103.240'],
    domain: 'lab.example',
    leaseSeconds: 600,
    options: { '252': '687474703a2f2f77706164' },
  },
  { name: 'ipmi', interface: 'lo', subnet: '192.168.104.0/24', serverAddress: '192.168.104.240' },
]
const networks = written.map(makeNetwork)
const stations = [
  { name: 'kiosk', macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'], address: '192.168.103.7' },
  { name: 'ipmi-kiosk', macs: ['52:54:00:00:00:03'], address: '192.168.104.7' },
  { name: 'pooled', macs: ['52:54:00:00:00:04'] },
].map((station) => stationSchema.parse(station))
const site = makeSite({
  networks,
  records: indexRecords(stations, [], []),
  site: bareSite,
  addressOn: () => undefined,
  httpBaseOf: (address: Ipv4) => `http://${address}:8080`,
  hasLoader: (file) => !file.startsWith('riscv'),
})

describe('what is rendered', () => {
  it('dnsmasq.conf says what the model says', () => {
    const text = renderDnsmasq(site, { hosts: ['/conf/hosts'], dhcphosts: ['/conf/dhcphosts'], leaseFile: '/state/leases', servers: ['9.9.9.9'] })
    for (const line of [
      'interface=lo',
      'domain=lab.example',
      'local=/lab.example/',
      'expand-hosts',
      'dhcp-range=set:lan,192.168.103.100,192.168.103.200,255.255.255.0,192.168.103.255,600s',
      'dhcp-range=set:ipmi,192.168.104.0,static,255.255.255.0,192.168.104.255,3600s',
      'dhcp-option=tag:lan,3,192.168.103.254',
      'dhcp-option=tag:lan,6,192.168.103.240,9.9.9.9',
      'dhcp-hostsfile=/conf/dhcphosts',
      'addn-hosts=/conf/hosts',
      'dhcp-leasefile=/state/leases',
      'server=9.9.9.9',
      'dhcp-boot=tag:lan,tag:ipxe,http://192.168.103.240:8080/boot.ipxe',
      'dhcp-boot=tag:lan,tag:!ipxe,tag:arch-0,undionly.kpxe,,192.168.103.240',
    ])
      expect(text.split('\n')).toContain(line)
  })
  it('hosts and dhcphosts: one line changes with one station', () => {
    expect(renderHosts(site.hosts)).toBe('192.168.104.7 ipmi-kiosk\n192.168.103.7 kiosk.lab.example kiosk\n')
    expect(renderDhcpHosts(site.hosts)).toBe(
      '52:54:00:00:00:03,ipmi-kiosk,infinite\n52:54:00:00:00:01,52:54:00:00:00:02,kiosk,infinite\n52:54:00:00:00:04,pooled\n',
    )
  })
})

describe('a dnsmasq.conf that is read', () => {
  it('that we made is our networks again', () => {
    const { networks: read, left } = importConf(parseConf(renderDnsmasq(site, { hosts: [], dhcphosts: [] })))
    expect(left).toEqual([])
    expect(read.map((network) => networkSchema.parse({ ...network, interface: 'lo' }))).toEqual(
      networks.map(({ serverAddress: _, ...rest }) => rest).map((one) => ({ ...one, ...(one.name === 'ipmi' && { domain: 'lab.example' }) })),
    )
  })

  // As the original's, in the old form of tags.
  const old = `# boot server
domain=aydo.com
expand-hosts
local=/aydo.com/
interface=pxeboot
bind-interfaces
dhcp-range=lan,192.168.103.100,192.168.103.200
dhcp-option=lan,3,192.168.103.254
dhcp-option=lan,6,8.8.8.8,8.8.4.4
dhcp-hostsfile=/conf/dhcphosts
addn-hosts=/conf/hosts
server=8.8.8.8
server=8.8.4.4
enable-tftp
dhcp-boot=pxelinux.0
tftp-root=/tftpboot
dhcp-script=/usr/bin/hook
dhcp-host=52:54:00:00:00:09,nine
`
  it('of old, with bare tags', () => {
    const imported = importConf(parseConf(old))
    expect(parse(imported.yaml)).toEqual({
      networks: [
        {
          name: 'lan',
          interface: 'pxeboot',
          subnet: '192.168.103.0/24',
          pool: ['192.168.103.100-192.168.103.200'],
          router: ['192.168.103.254'],
          dns: ['8.8.8.8', '8.8.4.4'],
          domain: 'aydo.com',
        },
      ],
      dnsmasq: { hosts: ['/conf/hosts'], dhcphosts: ['/conf/dhcphosts'], servers: ['8.8.8.8', '8.8.4.4'] },
    })
    expect(imported.left.map(({ line, text }) => [line, text])).toEqual([[17, 'dhcp-script=/usr/bin/hook']])
    expect(imported.dhcphosts).toBe('52:54:00:00:00:09,nine\n')
    expect(imported.notes.join()).toMatch(/says no netmask; \/24 is taken/)
  })
  it('takes netmask and interface of this machine where it says none', () => {
    const { networks: read } = importConf(parseConf('dhcp-range=lan,10.9.16.10,static\n'), [
      { name: 'eth1', address: '10.9.17.1' as Ipv4, prefix: 20 },
    ])
    expect(read).toEqual([{ name: 'lan', interface: 'eth1', subnet: '10.9.16.0/20', serverAddress: '10.9.17.1' }])
  })
  it('of lines that it does not know tells each', () => {
    const { left } = importConf(parseConf('dhcp-range=::1,::5\ndhcp-option=vendor:x,1,2\nserver=/a/1.1.1.1\nnonsense\nconf-dir=/etc\n"open\n'))
    expect(left.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5, 6])
  })
})

describe('lint of a dhcpd.conf', () => {
  // The document's example: the host has no hardware address, so next-server holds for nobody.
  const seed = `subnet 10.9.0.0 netmask 255.255.255.0 {
  range 10.9.0.10 10.9.0.20;
}
group {
  next-server 10.9.0.1;
  host tftpclient {
    filename "gpxe.kpxe";
  }
}
`
  it('tells what holds for nobody', () =>
    expect(lintDhcpd(seed, 'dhcpd.conf').map(({ code, line }) => [code, line])).toEqual([
      ['next-server-in-group', 5],
      ['host-nobody', 6],
    ]))
  it('has nothing to say of ours', () => expect(lintDhcpd(renderDhcpd(site), 'dhcpd.conf')).toEqual([]))
  it('finds placeholders', () => expect(lintDhcpd('next-server [serveur_tftp];\n', 'x').map(({ code }) => code)).toEqual(['placeholder']))
})

const put = async (name: string, text: string) => {
  const path = join(await makeScratch(), name)
  writeFileSync(path, text)
  return path
}

describeWith(['dnsmasq'], 'dnsmasq --test', () => {
  it('takes ours', async () => {
    const path = await put('dnsmasq.conf', renderDnsmasq(site, { hosts: [], dhcphosts: [] }))
    const { status, stderr } = spawnSync('dnsmasq', ['--test', '-C', path], { encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, expect.stringMatching(/syntax check OK/)])
  })
})
describeWith(['dhcpd'], 'dhcpd -t', () => {
  it('takes ours', async () => {
    const path = await put('dhcpd.conf', renderDhcpd(site))
    const { status, stderr } = spawnSync('/usr/sbin/dhcpd', ['-t', '-cf', path], { encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, expect.not.stringMatching(/error|not found/i)])
  })
})
describeWith(['kea-dhcp4'], 'kea-dhcp4 -t', () => {
  it('takes ours', async () => {
    const path = await put('kea-dhcp4.conf', renderKea(site))
    const { status, stdout, stderr } = spawnSync('/usr/sbin/kea-dhcp4', ['-t', path], { encoding: 'utf8' })
    expect([status, `${stdout}${stderr}`]).toEqual([0, expect.not.stringMatching(/ERROR/)])
  })
})
