import { describe, expect, it } from 'vitest'
import { readClient, readMac } from '../../src/dhcp/client.ts'
import type { Client } from '../../src/boot/client.ts'
import type { Decision } from '../../src/boot/decide.ts'
import { decodePacket, encodePacket } from '../../src/dhcp/packet.ts'
import { createDhcpLab, oneNetwork } from '../support/dhcp-lab.ts'
import { stationMac } from '../support/dhcp-message.ts'
import { type DhcpVector, dhcpVectors } from '../vectors/dhcp.ts'

/** The decisions of that day: every boot client gets a loader, by its architecture. */
function decide({ stage, archs, arrival }: Client): Decision {
  const [arch = 0] = archs
  const address = { from: arrival.mode === 'proxy' ? 'elsewhere' : 'pool' } as const
  if (stage === 'system') return { kind: 'lease', address, why: [] }
  const file = arch === 0 ? 'undionly.kpxe' : 'x86_64-efi/snponly.efi'
  const inProxy = arch === 0 ? 'bypass' : arch === 16 ? 'complete' : 'ask4011'
  const offer = arrival.mode === 'proxy' ? inProxy : 'complete'
  return {
    kind: 'loader',
    address,
    arch,
    via: arch === 16 ? 'http' : 'tftp',
    file,
    path: file,
    url: `${arrival.httpBase}/ipxe/${file}`,
    offer,
    why: [],
  }
}

const site = { decide, reservedFor: () => undefined }
const proxyNetwork = { name: 'lab', interface: 'eth0', subnet: '10.9.0.0/24', mode: 'proxy' }

function answerTo({ mode, door, from, sent }: DhcpVector) {
  const lab = createDhcpLab({ networks: [mode === 'proxy' ? proxyNetwork : oneNetwork], site })
  const by = door === 4011 ? { network: 'lab', isProxyPort: true, address: '10.9.0.58', port: from } : { port: from }
  return lab.send(sent, by)
}

const optionsHex = (bytes: Uint8Array): string => {
  let end = 240
  while (bytes[end] !== 255) end += 2 + (bytes[end + 1] as number)
  return Buffer.from(bytes.subarray(240, end)).toString('hex')
}

describe.each(dhcpVectors)('$name', (vector) => {
  it('is the same bytes again after decoding', () => {
    expect(Buffer.from(encodePacket(decodePacket(vector.sent))).toString('hex')).toBe(Buffer.from(vector.sent).toString('hex'))
  })

  it('tells who asks', () => {
    const packet = decodePacket(vector.sent)
    const mac = readMac(packet)
    expect(mac).toBe(stationMac)
    const arrival = { network: 'lab', mode: vector.mode, serverAddress: '10.9.0.1', httpBase: '' } as never
    const { clientId: _, hostname: __, ...told } = readClient(packet, stationMac as never, arrival)
    expect(told).toEqual({ mac, arrival, isHttpBoot: false, speaksHttp: false, ...vector.client })
  })

  it('is answered as the real client was', () => {
    const [reply, ...others] = answerTo(vector)
    expect(others).toEqual([])
    expect(reply).toMatchObject({ yiaddr: vector.reply.yiaddr, siaddr: vector.reply.siaddr, file: vector.reply.file })
    expect(optionsHex(encodePacket((reply as NonNullable<typeof reply>).packet))).toBe(vector.reply.options)
    expect(reply).toMatchObject(
      vector.door === 4011
        ? { address: '10.9.0.58', port: vector.from, isFromProxyPort: true }
        : { address: '255.255.255.255', port: 68, isFromProxyPort: false },
    )
  })
})
