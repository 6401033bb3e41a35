// Hosts added and taken out, the names that pxelinux asks for, links to the rescue entry, and what dnsmasq as engine is given.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import { indexRecords, stationSchema } from '../../src/boot/record.ts'
import { mergeReservations } from '../../src/boot/reserve.ts'
import { composeHostFiles } from '../../src/dnsmasq/compose.ts'
import { formatDhcpHosts, parseDhcpHosts } from '../../src/dnsmasq/dhcphosts.ts'
import { addHost, type HostPair, listHosts, removeHost } from '../../src/dnsmasq/edit.ts'
import { formatHosts, parseHosts } from '../../src/dnsmasq/hosts.ts'
import { joinHostFiles } from '../../src/dnsmasq/join.ts'
import { parseLeaseFile } from '../../src/dnsmasq/lease-file.ts'
import { makeSite } from '../../src/dnsmasq/model.ts'
import { disableRescue, enableRescue, findPxelinuxFile, listPxelinuxNames, listRescue } from '../../src/dnsmasq/pxelinux.ts'
import { createRescueWatch, listOnce, markOnce } from '../../src/dnsmasq/rescue-once.ts'
import { mustRestart } from '../../src/dnsmasq/version.ts'
import { makeScratch } from '../support/scratch.ts'
import { bareSite, makeNetwork } from '../support/site.ts'

const pairOf = (hosts: string, dhcphosts: string): HostPair => ({
  hosts: parseHosts(hosts, 'hosts'),
  dhcphosts: parseDhcpHosts(dhcphosts, 'dhcphosts'),
})
const textsOf = ({ hosts, dhcphosts }: HostPair) => [formatHosts(hosts), formatDhcpHosts(dhcphosts)]
const kiosk = { name: 'kiosk', macs: ['52:54:00:00:00:01' as Mac], address: '10.9.0.7' as Ipv4, domain: 'lab.example' }

describe('host add and remove', () => {
  it('write one line into each file, and leave all others alone', () => {
    const added = addHost(pairOf('# names\n10.9.0.1\tserver', '# hosts\r\nbad:line:zz\r\n'), kiosk)
    expect(textsOf(added)).toEqual([
      '# names\n10.9.0.1\tserver\n10.9.0.7 kiosk.lab.example kiosk\n',
      '# hosts\r\nbad:line:zz\r\n52:54:00:00:00:01,kiosk,infinite\r\n',
    ])
    expect(textsOf(removeHost(added, 'KIOSK'))).toEqual(['# names\n10.9.0.1\tserver\n', '# hosts\r\nbad:line:zz\r\n'])
  })
  it.each([
    ['name-twice', '', '52:54:00:00:00:09,Kiosk\n'],
    ['mac-twice', '', '52:54:00:00:00:01,other\n'],
    ['address-twice', '', '52:54:00:00:00:09,10.9.0.7\n'],
    ['address-twice', '10.9.0.7 other\n', ''],
    ['name-twice', '10.9.0.9 kiosk.elsewhere\n', ''],
  ])('refuse what is taken: %s', (code, hosts, dhcphosts) => {
    expect(() => addHost(pairOf(hosts, dhcphosts), kiosk)).toThrow(expect.objectContaining({ code }))
  })
  it('take only the name out of a line with others, and say what is not there', () => {
    const pair = pairOf('10.9.0.7  kiosk.lab kiosk box # the box\n', '')
    expect(textsOf(removeHost(pair, 'kiosk'))[0]).toBe('10.9.0.7 box # the box\n')
    expect(() => removeHost(pair, 'nobody')).toThrow(expect.objectContaining({ code: 'host' }))
  })
  it('list both files as one', () => {
    expect(listHosts(pairOf('10.9.0.7 kiosk.lab kiosk\n10.9.0.8 other\n', '52:54:00:00:00:01,Kiosk\n'))).toEqual([
      { name: 'kiosk', macs: ['52:54:00:00:00:01'], address: '10.9.0.7', lines: ['dhcphosts:1', 'hosts:1'] },
      { name: 'other', macs: [], address: '10.9.0.8', lines: ['hosts:2'] },
    ])
  })
})

describe('pxelinux', () => {
  const asker = { uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab', mac: '52:54:00:12:34:56' as Mac, ip: '10.0.2.15' as Ipv4 }
  // As pxelinux 6.04 and syslinux.efi asked in QEMU.
  const asked = [
    '085994b8-a6d6-a941-8ff4-0123456789ab',
    '01-52-54-00-12-34-56',
    '0A00020F',
    '0A00020',
    '0A0002',
    '0A000',
    '0A00',
    '0A0',
    '0A',
    '0',
    'default',
  ]
  it('asks in this order', () => {
    expect(listPxelinuxNames(asker)).toEqual(asked.map((name) => `pxelinux.cfg/${name}`))
    expect(listPxelinuxNames({ ip: '192.168.103.9' as Ipv4, configFile: 'my.cfg' })[0]).toBe('my.cfg')
    expect(listPxelinuxNames({ ip: '1.2.3.4' as Ipv4 })[0]).toBe('pxelinux.cfg/01020304')
  })
  it('takes the first file that is there', async () => {
    const folder = await makeScratch()
    mkdirSync(join(folder, 'pxelinux.cfg'))
    for (const name of ['default', '0A0002', '911boot']) writeFileSync(join(folder, 'pxelinux.cfg', name), name)
    const names = listPxelinuxNames(asker)
    expect(await findPxelinuxFile(folder, names)).toEqual({ name: 'pxelinux.cfg/0A0002' })
    symlinkSync('911boot', join(folder, 'pxelinux.cfg/01-52-54-00-12-34-56'))
    expect(await findPxelinuxFile(folder, names)).toEqual({ name: 'pxelinux.cfg/01-52-54-00-12-34-56', target: '911boot' })
    expect(await findPxelinuxFile('/nowhere', names)).toBeUndefined()
  })
})

describe('rescue', () => {
  const mac = '52:54:00:00:00:01' as Mac
  const makeFolder = async () => {
    const folder = await makeScratch()
    writeFileSync(join(folder, '911boot'), 'DEFAULT 1\n')
    return folder
  }
  it.each(['symbolic', 'hard'] as const)('by a %s link, enabled twice and disabled', async (kind) => {
    const folder = await makeFolder()
    await enableRescue(folder, mac, kind)
    await enableRescue(folder, mac, kind)
    expect(readFileSync(join(folder, '01-52-54-00-00-00-01'), 'utf8')).toBe('DEFAULT 1\n')
    if (kind === 'symbolic') expect(readlinkSync(join(folder, '01-52-54-00-00-00-01'))).toBe('911boot')
    else expect(lstatSync(join(folder, '911boot')).nlink).toBe(2)
    expect(await listRescue(folder)).toEqual([{ mac, kind, isOnce: false }])
    expect([await disableRescue(folder, mac), await disableRescue(folder, mac)]).toEqual([true, false])
    expect(readdirSync(folder)).toEqual(['911boot'])
  })
  it('touches no file that is something else', async () => {
    const folder = await makeFolder()
    writeFileSync(join(folder, '01-52-54-00-00-00-01'), 'mine')
    await expect(enableRescue(folder, mac)).rejects.toMatchObject({ code: 'link-taken' })
    expect(await disableRescue(folder, mac)).toBe(false)
    expect(await listRescue(folder)).toEqual([])
  })
  it('needs its entry', async () => await expect(enableRescue(await makeScratch(), mac)).rejects.toMatchObject({ code: 'rescue-entry' }))

  it('for one boot: the link goes when that boot has fetched it, and no other event takes it', async () => {
    const [folder, state] = [await makeFolder(), await makeScratch()]
    await enableRescue(folder, mac)
    await markOnce(state, mac)
    let settled = (): void => {}
    const see = createRescueWatch({ folder, state, onFault: (error) => expect(error).toBeUndefined() })
    see({ at: 1, kind: 'script-offered', mac, detail: { file: 'pxelinux.cfg/default' } })
    see({ at: 1, kind: 'up', mac: '52:54:00:00:00:02' as Mac })
    await new Promise<void>((done) => {
      settled = done
      setImmediate(() => setImmediate(done))
    })
    expect(existsSync(join(folder, '01-52-54-00-00-00-01'))).toBe(true)
    see({ at: 2, kind: 'script-offered', detail: { file: '/pxelinux.cfg/01-52-54-00-00-00-01' } })
    await expect.poll(() => readdirSync(folder)).toEqual(['911boot'])
    expect(await listOnce(state)).toEqual([])
    settled()
  })
})

describe('records and lines together', () => {
  const networks = [makeNetwork({ interface: 'eth0', subnet: '10.9.0.0/24', serverAddress: '10.9.0.1', pool: ['10.9.0.100-10.9.0.109'] })]
  const records = [
    { name: 'mine', macs: ['52:54:00:00:00:01'], address: '10.9.0.7' },
    { name: 'open', macs: ['52:54:00:00:00:02'] },
  ].map((station) => stationSchema.parse(station))
  const files = {
    dhcphosts: [
      parseDhcpHosts(
        '52:54:00:00:00:01,10.9.0.8,ignore\n52:54:00:00:00:02,10.9.0.9,900\n52:54:00:00:00:03,10.9.0.7\nzz:,x\n52:54:00:00:00:04,mine,set:rescue\n52:54:00:00:00:05,set:\n',
        '/d',
      ),
    ],
    hosts: [parseHosts('10.9.0.20 printer\nbad\n', '/h')],
  }
  const merged = mergeReservations(records, joinHostFiles(files, networks).reservations, networks)

  it('a record goes first, and each conflict is told', () => {
    expect(merged.conflicts.map(({ code, line }) => [code, line.line]).sort()).toEqual([
      ['address-of-record', 3],
      ['name-taken', 5],
      ['record-address', 1],
      ['record-ignored', 1],
    ])
    expect(merged.stations.map(({ name, labels }) => [name, labels])).toEqual([
      ['52-54-00-00-00-03', {}],
      ['52-54-00-00-00-04', { 'tag.rescue': 'set' }],
      ['52-54-00-00-00-05', {}],
    ])
  })

  it('dnsmasq as engine is given what ours would do, without the lines that it would refuse or die of', () => {
    const all = indexRecords([...records, ...merged.stations], [], [], merged)
    const site = makeSite({ networks, records: all, site: bareSite, addressOn: () => undefined, httpBaseOf: (address) => `http://${address}` })
    expect(composeHostFiles(site, all, files)).toEqual({
      dhcphosts:
        '52:54:00:00:00:03\n52:54:00:00:00:04,mine,set:rescue\n52:54:00:00:00:01,10.9.0.7,mine,infinite\n52:54:00:00:00:02,10.9.0.9,open,900\n',
      hosts: '10.9.0.20 printer\n10.9.0.7 mine\n',
    })
  })
})

it('dnsmasq before 2.91 is restarted where lines have tags', () => {
  const [tagged, plain] = [parseDhcpHosts('a,set:x\n', 'd'), parseDhcpHosts('a\n', 'd')]
  expect([mustRestart('2.90', [tagged]), mustRestart('2.90', [plain]), mustRestart('2.91', [tagged]), mustRestart('3.0', [tagged])]).toEqual([
    true,
    false,
    false,
    false,
  ])
})

it('dnsmasq’s leases are read', () => {
  const text = '1900000000 52:54:00:00:00:01 10.9.0.7 kiosk 01:52\n0 06-52:54:00:00:00:02 10.9.0.8 * *\nduid 00:01\nnonsense\n'
  expect(parseLeaseFile(text)).toEqual([
    { mac: '52:54:00:00:00:01', ip: '10.9.0.7', expiresAt: 1_900_000_000, hostname: 'kiosk' },
    { mac: '52:54:00:00:00:02', ip: '10.9.0.8', expiresAt: Number.POSITIVE_INFINITY },
  ])
})
