// What real clients sent, and what they were answered before they went on: bytes ↔ value ↔ reply. Read by test/dhcp/vector.test.ts.
// The site: 10.9.0.0/24 with our address 10.9.0.1, HTTP on 8080, setting foreignIpxe: loader; the station has MAC 52:54:00:12:34:56.
import type { Client } from '../../src/boot/client.ts'

export type DhcpVector = {
  readonly name: string
  /** Program and version, and when it was seen on the wire. Each captured client took the reply and went on. */
  readonly origin: string
  readonly mode: 'server' | 'proxy'
  /** The port that the client wrote to, and the one that it wrote from. */
  readonly door: 67 | 4011
  readonly from: number
  readonly sent: Uint8Array
  readonly client: Partial<Client>
  /** Options in hex, without the end mark, in the order sent. */
  readonly reply: { readonly yiaddr: string; readonly siaddr: string; readonly file: string; readonly options: string }
}

type Head = { xid: string; secs: number; isBroadcast?: boolean; ciaddr?: string; length: number }

/** A request of the station: Ethernet, no hops, no names; what stands between the options' end and `length` is zero. */
function frame({ xid, secs, isBroadcast = false, ciaddr = '0.0.0.0', length }: Head, options: string): Uint8Array {
  const bytes = new Uint8Array(length)
  const head = `01010600${xid}${secs.toString(16).padStart(4, '0')}${isBroadcast ? '8000' : '0000'}`
  bytes.set(Buffer.from(head, 'hex'))
  bytes.set(ciaddr.split('.').map(Number), 12)
  bytes.set(Buffer.from('525400123456', 'hex'), 28)
  bytes.set(Buffer.from(`63825363${options}ff`, 'hex'), 236)
  return bytes
}

export const dhcpVectors: readonly DhcpVector[] = [
  {
    name: 'iPXE in a BIOS ROM, DISCOVER',
    origin: 'QEMU 7.2.22 on Debian 12, BIOS, its own virtio ROM (iPXE 1.0.0+git-20190125), captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '33183708', secs: 4, length: 400 },
      '350101390205c05d0200005e030102013c20505845436c69656e743a417263683a30303030303a554e44493a3030323030314d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf30b105011af41000eb030100001701012201011301011101012701011901012901011001022101011501011801011201013d0701525400123456611100085994b8a6d6a9418ff40123456789ab',
    ),
    client: {
      stage: 'ipxe',
      archs: [0],
      vendorClass: 'PXEClient:Arch:00000:UNDI:002001',
      userClass: 'iPXE',
      speaksHttp: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'undionly.kpxe',
      options:
        '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff00420831302e392e302e31430d756e64696f6e6c792e6b707865af03b0010103040a090001611100085994b8a6d6a9418ff40123456789ab3d0701525400123456',
    },
  },
  {
    name: 'iPXE in a BIOS ROM, REQUEST',
    origin: 'QEMU 7.2.22 on Debian 12, BIOS, its own virtio ROM (iPXE 1.0.0+git-20190125), captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '33183708', secs: 10, length: 412 },
      '350103390205c05d0200005e030102013c20505845436c69656e743a417263683a30303030303a554e44493a3030323030314d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf30b105011af41000eb030100001701012201011301011101012701011901012901011001022101011501011801011201013d0701525400123456611100085994b8a6d6a9418ff40123456789ab36040a09000132040a090064',
    ),
    client: {
      stage: 'ipxe',
      archs: [0],
      vendorClass: 'PXEClient:Arch:00000:UNDI:002001',
      userClass: 'iPXE',
      speaksHttp: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'undionly.kpxe',
      options:
        '35010536040a090001330400000e103a04000007083b0400000c4e0104ffffff00420831302e392e302e31430d756e64696f6e6c792e6b707865af03b0010103040a090001611100085994b8a6d6a9418ff40123456789ab3d0701525400123456',
    },
  },
  {
    name: 'undionly.kpxe with a cached lease and the broadcast flag, DISCOVER',
    origin: "undionly.kpxe of Debian 12 (iPXE 1.0.0+git-20190125), loaded by QEMU's ROM, captured 2026-11",
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: 'd544b534', secs: 4, isBroadcast: true, length: 400 },
      '350101390205c05d0200005e030102013c20505845436c69656e743a417263683a30303030303a554e44493a3030323030314d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf30b105011af41000eb030100001701012201011301011101012701011901012901011001022101011501011801011201013d0701525400123456611100085994b8a6d6a9418ff40123456789ab',
    ),
    client: {
      stage: 'ipxe',
      archs: [0],
      vendorClass: 'PXEClient:Arch:00000:UNDI:002001',
      userClass: 'iPXE',
      speaksHttp: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'undionly.kpxe',
      options:
        '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff00420831302e392e302e31430d756e64696f6e6c792e6b707865af03b0010103040a090001611100085994b8a6d6a9418ff40123456789ab3d0701525400123456',
    },
  },
  {
    name: 'iPXE in a BIOS ROM beside another server, DISCOVER',
    origin: 'QEMU 7.2.22 on Debian 12, BIOS, its own virtio ROM (iPXE 1.0.0+git-20190125), captured 2026-11',
    mode: 'proxy',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '06c2c463', secs: 4, length: 400 },
      '350101390205c05d0200005e030102013c20505845436c69656e743a417263683a30303030303a554e44493a3030323030314d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf30b105011af41000eb030100001701012201011301011101012701011901012901011001022101011501011801011201013d0701525400123456611100085994b8a6d6a9418ff40123456789ab',
    ),
    client: {
      stage: 'ipxe',
      archs: [0],
      vendorClass: 'PXEClient:Arch:00000:UNDI:002001',
      userClass: 'iPXE',
      speaksHttp: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '0.0.0.0',
      siaddr: '10.9.0.1',
      file: 'undionly.kpxe',
      options:
        '35010236040a0900013c09505845436c69656e742b04060108ff420831302e392e302e31430d756e64696f6e6c792e6b707865611100085994b8a6d6a9418ff40123456789ab3d0701525400123456',
    },
  },
  {
    name: 'iPXE that echoes the vendor class of the proxy that it met before, DISCOVER',
    origin: "undionly.kpxe of Debian 12 (iPXE 1.0.0+git-20190125), loaded by QEMU's ROM, captured 2026-11",
    mode: 'proxy',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '76f0304c', secs: 4, isBroadcast: true, length: 377 },
      '350101390205c05d0200005e030102013c09505845436c69656e744d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf30b105011af41000eb030100001701012201011301011101012701011901012901011001022101011501011801011201013d0701525400123456611100085994b8a6d6a9418ff40123456789ab',
    ),
    client: {
      stage: 'ipxe',
      archs: [0],
      vendorClass: 'PXEClient',
      userClass: 'iPXE',
      speaksHttp: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '0.0.0.0',
      siaddr: '10.9.0.1',
      file: 'undionly.kpxe',
      options:
        '35010236040a0900013c09505845436c69656e742b04060108ff420831302e392e302e31430d756e64696f6e6c792e6b707865611100085994b8a6d6a9418ff40123456789ab3d0701525400123456',
    },
  },
  {
    name: 'edk2 PXE, DISCOVER',
    origin: 'OVMF 2022.11 of Debian 12 (edk2), captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '10337b8d', secs: 0, isBroadcast: true, length: 347 },
      '350101390205c037230102030405060c0d0f111216171c28292a2b3233363a3b3c4243618081828384858687611100085994b8a6d6a9418ff40123456789ab5e030103005d0200073c20505845436c69656e743a417263683a30303030373a554e44493a303033303030',
    ),
    client: { stage: 'firmware', archs: [7], vendorClass: 'PXEClient:Arch:00007:UNDI:003000', uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab' },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'x86_64-efi/snponly.efi',
      options:
        '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff00420831302e392e302e3143167838365f36342d6566692f736e706f6e6c792e65666903040a0900011c040a0900ff611100085994b8a6d6a9418ff40123456789ab',
    },
  },
  {
    name: 'edk2 PXE, REQUEST that takes 65,280 bytes',
    origin: 'OVMF 2022.11 of Debian 12 (edk2), captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '10337b8d', secs: 0, isBroadcast: true, length: 359 },
      '35010336040a09000132040a0900643902ff0037230102030405060c0d0f111216171c28292a2b3233363a3b3c4243618081828384858687611100085994b8a6d6a9418ff40123456789ab5e030103005d0200073c20505845436c69656e743a417263683a30303030373a554e44493a303033303030',
    ),
    client: { stage: 'firmware', archs: [7], vendorClass: 'PXEClient:Arch:00007:UNDI:003000', uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab' },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'x86_64-efi/snponly.efi',
      options:
        '35010536040a090001330400000e103a04000007083b0400000c4e0104ffffff00420831302e392e302e3143167838365f36342d6566692f736e706f6e6c792e65666903040a0900011c040a0900ff611100085994b8a6d6a9418ff40123456789ab',
    },
  },
  {
    name: 'snponly.efi, DISCOVER',
    origin: 'snponly.efi of Debian 12 (iPXE 1.0.0+git-20190125), loaded by OVMF, captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '56dcc966', secs: 4, length: 388 },
      '350101390205c05d0200075e0301030a3c20505845436c69656e743a417263683a30303030373a554e44493a3030333031304d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf24b105011af41000eb030100001701012401011301011101012701012901011501011201013d0701525400123456611100085994b8a6d6a9418ff40123456789ab',
    ),
    client: {
      stage: 'ipxe',
      archs: [7],
      vendorClass: 'PXEClient:Arch:00007:UNDI:003010',
      userClass: 'iPXE',
      speaksHttp: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'x86_64-efi/snponly.efi',
      options:
        '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff00420831302e392e302e3143167838365f36342d6566692f736e706f6e6c792e656669af03b0010103040a090001611100085994b8a6d6a9418ff40123456789ab3d0701525400123456',
    },
  },
  {
    name: 'edk2 PXE beside another server, DISCOVER',
    origin: 'OVMF 2022.11 of Debian 12 (edk2), captured 2026-11',
    mode: 'proxy',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '6a37fc41', secs: 0, isBroadcast: true, length: 347 },
      '350101390205c037230102030405060c0d0f111216171c28292a2b3233363a3b3c4243618081828384858687611100085994b8a6d6a9418ff40123456789ab5e030103005d0200073c20505845436c69656e743a417263683a30303030373a554e44493a303033303030',
    ),
    client: { stage: 'firmware', archs: [7], vendorClass: 'PXEClient:Arch:00007:UNDI:003000', uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab' },
    reply: {
      yiaddr: '0.0.0.0',
      siaddr: '10.9.0.1',
      file: '',
      options: '35010236040a0900013c09505845436c69656e74611100085994b8a6d6a9418ff40123456789ab',
    },
  },
  {
    name: 'edk2 PXE, REQUEST from port 4011 to port 4011 with its address but without server identifier',
    origin: 'OVMF 2022.11 of Debian 12 (edk2), captured 2026-11',
    mode: 'proxy',
    door: 4011,
    from: 4011,
    sent: frame(
      { xid: '3dbd5af0', secs: 0, ciaddr: '10.9.0.58', length: 347 },
      '35010337230102030405060c0d0f111216171c28292a2b3233363a3b3c4243618081828384858687390205c03c20505845436c69656e743a417263683a30303030373a554e44493a3030333030305d0200075e03010300611100085994b8a6d6a9418ff40123456789ab',
    ),
    client: { stage: 'firmware', archs: [7], vendorClass: 'PXEClient:Arch:00007:UNDI:003000', uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab' },
    reply: {
      yiaddr: '0.0.0.0',
      siaddr: '10.9.0.1',
      file: 'x86_64-efi/snponly.efi',
      options:
        '35010536040a0900013c09505845436c69656e74420831302e392e302e3143167838365f36342d6566692f736e706f6e6c792e656669611100085994b8a6d6a9418ff40123456789ab',
    },
  },
  {
    name: 'snponly.efi, REQUEST from port 68 to port 4011',
    origin: 'snponly.efi of Debian 12 (iPXE 1.0.0+git-20190125), loaded by OVMF, captured 2026-11',
    mode: 'proxy',
    door: 4011,
    from: 68,
    sent: frame(
      { xid: 'a62e981a', secs: 15, isBroadcast: true, ciaddr: '10.9.0.58', length: 394 },
      '350103390205c05d0200075e0301030a3c20505845436c69656e743a417263683a30303030373a554e44493a3030333031304d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf24b105011af41000eb030100001701012401011301011101012701012901011501011201013d0701525400123456611100085994b8a6d6a9418ff40123456789ab36040a090001',
    ),
    client: {
      stage: 'ipxe',
      archs: [7],
      vendorClass: 'PXEClient:Arch:00007:UNDI:003010',
      userClass: 'iPXE',
      speaksHttp: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '0.0.0.0',
      siaddr: '10.9.0.1',
      file: 'x86_64-efi/snponly.efi',
      options:
        '35010536040a0900013c09505845436c69656e74420831302e392e302e3143167838365f36342d6566692f736e706f6e6c792e656669611100085994b8a6d6a9418ff40123456789ab3d0701525400123456',
    },
  },
  {
    name: 'edk2 HTTP Boot, DISCOVER',
    origin: 'OVMF 2022.11 of Debian 12 (edk2), captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '73347d0e', secs: 0, isBroadcast: true, length: 340 },
      '350101390205c0371b0102030405060c0d0f111216171c28292a2b3233363a3b3ceb4361611100085994b8a6d6a9418ff40123456789ab5e030103005d0200103c2148545450436c69656e743a417263683a30303031363a554e44493a303033303030',
    ),
    client: {
      stage: 'firmware',
      archs: [16],
      vendorClass: 'HTTPClient:Arch:00016:UNDI:003000',
      isHttpBoot: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'http://10.9.0.1:8080/ipxe/x86_64-efi/snponly.efi',
      options:
        '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff003c0a48545450436c69656e744330687474703a2f2f31302e392e302e313a383038302f697078652f7838365f36342d6566692f736e706f6e6c792e65666903040a0900011c040a0900ff611100085994b8a6d6a9418ff40123456789ab',
    },
  },
  {
    name: 'edk2 HTTP Boot, REQUEST',
    origin: 'OVMF 2022.11 of Debian 12 (edk2), captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '73347d0e', secs: 0, isBroadcast: true, length: 352 },
      '35010336040a09000132040a090064390205c0371b0102030405060c0d0f111216171c28292a2b3233363a3b3ceb4361611100085994b8a6d6a9418ff40123456789ab5e030103005d0200103c2148545450436c69656e743a417263683a30303031363a554e44493a303033303030',
    ),
    client: {
      stage: 'firmware',
      archs: [16],
      vendorClass: 'HTTPClient:Arch:00016:UNDI:003000',
      isHttpBoot: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: 'http://10.9.0.1:8080/ipxe/x86_64-efi/snponly.efi',
      options:
        '35010536040a090001330400000e103a04000007083b0400000c4e0104ffffff003c0a48545450436c69656e744330687474703a2f2f31302e392e302e313a383038302f697078652f7838365f36342d6566692f736e706f6e6c792e65666903040a0900011c040a0900ff611100085994b8a6d6a9418ff40123456789ab',
    },
  },
  {
    name: 'edk2 HTTP Boot beside another server, DISCOVER',
    origin: 'OVMF 2022.11 of Debian 12 (edk2), captured 2026-11',
    mode: 'proxy',
    door: 67,
    from: 68,
    sent: frame(
      { xid: 'b9353c5d', secs: 0, isBroadcast: true, length: 340 },
      '350101390205c0371b0102030405060c0d0f111216171c28292a2b3233363a3b3ceb4361611100085994b8a6d6a9418ff40123456789ab5e030103005d0200103c2148545450436c69656e743a417263683a30303031363a554e44493a303033303030',
    ),
    client: {
      stage: 'firmware',
      archs: [16],
      vendorClass: 'HTTPClient:Arch:00016:UNDI:003000',
      isHttpBoot: true,
      uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab',
    },
    reply: {
      yiaddr: '0.0.0.0',
      siaddr: '10.9.0.1',
      file: 'http://10.9.0.1:8080/ipxe/x86_64-efi/snponly.efi',
      options:
        '35010236040a0900013c0a48545450436c69656e744330687474703a2f2f31302e392e302e313a383038302f697078652f7838365f36342d6566692f736e706f6e6c792e656669611100085994b8a6d6a9418ff40123456789ab',
    },
  },
  {
    name: 'udhcpc, DISCOVER',
    origin: 'BusyBox 1.35.0 of Debian 12, captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: 'd254825f', secs: 0, length: 300 },
      '3501013902024037070103060c0f1c2a0c0973746174696f6e2d373c0c756468637020312e33352e303d0701525400123456',
    ),
    client: { stage: 'system', archs: [], vendorClass: 'udhcp 1.35.0' },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: '',
      options: '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff0003040a0900011c040a0900ff3d0701525400123456',
    },
  },
  {
    name: 'udhcpc, REQUEST',
    origin: 'BusyBox 1.35.0 of Debian 12, captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: 'd254825f', secs: 0, length: 303 },
      '35010332040a09006436040a0900013902024037070103060c0f1c2a0c0973746174696f6e2d373c0c756468637020312e33352e303d0701525400123456',
    ),
    client: { stage: 'system', archs: [], vendorClass: 'udhcp 1.35.0' },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: '',
      options: '35010536040a090001330400000e103a04000007083b0400000c4e0104ffffff0003040a0900011c040a0900ff3d0701525400123456',
    },
  },
  {
    name: 'dhclient without client identifier, DISCOVER',
    origin: 'ISC dhclient 4.4.3-P1 of Debian 12, captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame({ xid: '63015306', secs: 0, length: 300 }, '3501010c02766d370d011c02030f06770c2c2f1a792a'),
    client: { stage: 'system', archs: [] },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: '',
      options: '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff001c040a0900ff03040a090001',
    },
  },
  {
    name: 'dhcpcd with a DUID, DISCOVER',
    origin: 'dhcpcd 9.4.1 of Debian 12, captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '20c5e197', secs: 0, length: 300 },
      '350101370e017903060c0f1a1c2133363a3b77390205c03d13ff00123456000100013293c0665254001234565000910101',
    ),
    client: { stage: 'system', archs: [] },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: '',
      options: '35010236040a090001330400000e103a04000007083b0400000c4e0104ffffff0003040a0900011c040a0900ff3d13ff00123456000100013293c066525400123456',
    },
  },
  {
    name: 'dhcpcd, REQUEST whose first option is not the message type',
    origin: 'dhcpcd 9.4.1 of Debian 12, captured 2026-11',
    mode: 'server',
    door: 67,
    from: 68,
    sent: frame(
      { xid: '20c5e197', secs: 0, length: 300 },
      '32040a09006435010336040a090001370e017903060c0f1a1c2133363a3b77390205c03d13ff00123456000100013293c066525400123456910101',
    ),
    client: { stage: 'system', archs: [] },
    reply: {
      yiaddr: '10.9.0.100',
      siaddr: '10.9.0.1',
      file: '',
      options: '35010536040a090001330400000e103a04000007083b0400000c4e0104ffffff0003040a0900011c040a0900ff3d13ff00123456000100013293c066525400123456',
    },
  },
]
