// DHCP from the client's side: messages to send, and replies in a form that reads well in a failing test.
import { encodeMac, type Ipv4, ipv4ToNumber, numberToIpv4, parseMac } from '../../src/boot/address.ts'
import { encodeOption, type Option, type Options, option } from '../../src/dhcp/option.ts'
import { decodePacket, encodeMessageType, encodePacket, type MessageType, messageType, type Packet } from '../../src/dhcp/packet.ts'

/** What a test says of a message; addresses in dotted form. Options by name, or by code as bytes. */
export type Said = {
  readonly mac?: string
  readonly xid?: number
  readonly ciaddr?: string
  readonly giaddr?: string
  readonly isBroadcast?: boolean
  readonly requested?: string
  readonly serverId?: string
  readonly vendorClass?: string
  readonly archs?: readonly number[]
  readonly userClass?: string
  readonly asked?: readonly number[]
  readonly leaseSeconds?: number
  readonly hostName?: string
  readonly others?: Readonly<Record<number, Uint8Array>>
}

export const stationMac = '52:54:00:12:34:56'

const dotted = (text = '0.0.0.0'): number => ipv4ToNumber(text as Ipv4)

/** A client's message as a value. */
export function makeMessage(type: MessageType, said: Said = {}): Packet {
  const options: Options = new Map([[option.messageType.code, encodeMessageType(type)]])
  const put = <S extends Option>({ code, shape }: S, value: never | unknown) => {
    if (value !== undefined) options.set(code, encodeOption({ code, shape } as Option<'u32'>, value as number))
  }
  put(option.requestedAddress, said.requested && dotted(said.requested))
  put(option.serverId, said.serverId && dotted(said.serverId))
  put(option.vendorClass, said.vendorClass)
  put(option.clientArch, said.archs)
  put(option.userClass, said.userClass && Buffer.from(said.userClass))
  put(option.parameterList, said.asked && Uint8Array.from(said.asked))
  put(option.leaseSeconds, said.leaseSeconds)
  put(option.hostName, said.hostName)
  for (const [code, bytes] of Object.entries(said.others ?? {})) options.set(Number(code), bytes)
  return {
    op: 'request',
    htype: 1,
    hops: 0,
    xid: said.xid ?? 0x1234,
    secs: 0,
    isBroadcast: said.isBroadcast ?? false,
    ciaddr: dotted(said.ciaddr),
    yiaddr: 0,
    siaddr: 0,
    giaddr: dotted(said.giaddr),
    chaddr: encodeMac(parseMac(said.mac ?? stationMac)),
    sname: '',
    file: '',
    options,
  }
}

export const encodeMessage = (type: MessageType, said: Said = {}): Buffer => encodePacket(makeMessage(type, said))

/** A reply, as far as tests look at it; options in hex by code. */
export type Heard = {
  readonly type: MessageType | undefined
  readonly yiaddr: string
  readonly siaddr: string
  readonly ciaddr: string
  readonly file: string
  readonly options: Readonly<Record<number, string>>
  readonly packet: Packet
}

export function readReply(bytes: Uint8Array): Heard {
  const packet = decodePacket(bytes)
  return {
    type: messageType(packet),
    yiaddr: numberToIpv4(packet.yiaddr),
    siaddr: numberToIpv4(packet.siaddr),
    ciaddr: numberToIpv4(packet.ciaddr),
    file: packet.file,
    options: Object.fromEntries([...packet.options].map(([code, value]) => [code, Buffer.from(value).toString('hex')])),
    packet,
  }
}

/** `10.9.0.1` as the four bytes of an option, in hex. */
export const addressHex = (text: string): string => Buffer.from(text.split('.').map(Number)).toString('hex')
