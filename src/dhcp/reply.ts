// A decision and a lease → the packet that says so, and where it goes (RFC 2131 sections 4.1 and 4.3). Used by the engine; sends nothing.
import type { Client } from '../boot/client.ts'
import type { Decision } from '../boot/decide.ts'
import type { Grant } from './book.ts'
import { noProxyDhcp } from './ipxe.ts'
import { encodeOption, encodeU32, type Options, option } from './option.ts'
import { encodeMessageType, type Packet } from './packet.ts'
import { bootThisFile, httpVendorClass, pxeOption, pxeVendorClass } from './pxe.ts'
import { encodeTimes, type Served } from './served.ts'
import { addressText, readText } from './text.ts'

/** One question, as all replies need it. `serverId` is ours, or what the relay wants to be taken for us (RFC 5107). */
export type Question = { readonly packet: Packet; readonly client: Client; readonly served: Served; readonly serverId: number }

/** A decision that has something to boot. */
export type BootDecision = Extract<Decision, { kind: 'loader' | 'script' }>

const offerType = encodeMessageType('offer')
const ackType = encodeMessageType('ack')
const nakType = encodeMessageType('nak')
const httpClass = Buffer.from(httpVendorClass, 'latin1')
const pxeClass = Buffer.from(pxeVendorClass, 'latin1')

/** OFFER or ACK of a full server. Without a grant it answers an INFORM: no address and no times. */
export function buildReply(
  type: 'offer' | 'ack',
  question: Question,
  decision: Exclude<Decision, { kind: 'ignore' }>,
  grant: Grant | undefined,
): Packet {
  const { packet, client, served } = question
  const options = beginOptions(type === 'offer' ? offerType : ackType, question)
  if (grant) putAll(options, served, grant.seconds === served.network.leaseSeconds ? served.usualTimes : encodeTimes(grant.seconds))
  put(options, served, option.subnetMask.code, served.common.get(option.subnetMask.code))
  const isBoot = decision.kind !== 'lease'
  if (isBoot) putBoot(options, question, decision)
  if (client.stage === 'ipxe' || client.stage === 'bivouac') put(options, served, option.ipxe.code, noProxyDhcp)
  putAsked(options, question, decision.hostname)
  endOptions(options, packet)
  return {
    ...replyHeader(packet),
    ciaddr: type === 'ack' ? packet.ciaddr : 0,
    yiaddr: grant?.ip ?? 0,
    siaddr: served.address,
    file: isBoot ? headerFile(served, decision) : '',
    options,
  }
}

/**
 * What a proxy says beside another server: no address, only what to boot. `ask4011`: "PXE server here", the name follows on port 4011.
 * `bypass` and `complete` name it at once, the first with discovery control 8.
 */
export function buildProxyReply(type: 'offer' | 'ack', question: Question, decision: BootDecision, form: 'complete' | 'bypass' | 'ask4011'): Packet {
  const { packet, served } = question
  const options = beginOptions(type === 'offer' ? offerType : ackType, question)
  const isHttp = decision.kind === 'loader' && decision.via === 'http'
  put(options, served, option.vendorClass.code, isHttp ? httpClass : pxeClass)
  const vendorOptions = form === 'bypass' ? bootThisFile : bootItemOf(packet)
  put(options, served, option.vendorOptions.code, vendorOptions)
  if (form !== 'ask4011') putBoot(options, question, decision)
  endOptions(options, packet)
  // Lore: an iPXE told of a file, even by URL, with siaddr 0 says "Nothing to boot".
  const file = form === 'ask4011' ? '' : headerFile(served, decision)
  return { ...replyHeader(packet), ciaddr: type === 'ack' ? packet.ciaddr : 0, yiaddr: 0, siaddr: served.address, file, options }
}

/** RFC 2131 table 3: a NAK carries nothing but its message, who says it, and what must be echoed. */
export function buildNak({ packet, serverId }: Question, message: string): Packet {
  const options: Options = new Map([
    [option.messageType.code, nakType],
    [option.serverId.code, encodeU32(serverId)],
    [option.message.code, encodeOption(option.message, message)],
  ])
  echo(options, packet, option.clientId.code)
  echo(options, packet, option.relayAgent.code)
  // The relay must broadcast it: the client has no address that it may use (section 4.3.2).
  return { ...replyHeader(packet), isBroadcast: packet.isBroadcast || packet.giaddr !== 0, ciaddr: 0, yiaddr: 0, siaddr: 0, file: '', options }
}

/** `isRelay`: to the server port there; else to the client port. */
export type Destination = { readonly address: string; readonly isRelay: boolean }
const everybody: Destination = { address: '255.255.255.255', isRelay: false }

/**
 * Section 4.1, but for one form: a client without an address that wants a unicast gets a limited broadcast, because a unicast to an address that
 * it does not answer ARP for needs raw sockets. Every client must take a broadcast as well.
 */
export function destinationOf(request: Packet, reply: 'offer' | 'ack' | 'nak'): Destination {
  if (request.giaddr) return { address: addressText(request.giaddr), isRelay: true }
  if (request.ciaddr && reply === 'ack') return { address: addressText(request.ciaddr), isRelay: false }
  return everybody
}

/** How long the reply may be: what the client takes (57, with IP and UDP heads; never under 576), and no more than one Ethernet frame. */
export function limitBytes(maxMessageBytes: number | undefined): number {
  return Math.min(Math.max(maxMessageBytes ?? 0, 576), 1500) - 28
}

const replyHeader = ({ htype, xid, isBroadcast, giaddr, chaddr }: Packet) =>
  ({ op: 'reply', htype, hops: 0, xid, secs: 0, isBroadcast, giaddr, chaddr, sname: '' }) as const

const beginOptions = (type: Uint8Array, { served, serverId }: Question): Options =>
  new Map([
    [option.messageType.code, type],
    [option.serverId.code, serverId === served.address ? served.addressBytes : encodeU32(serverId)],
  ])

function putAll(options: Options, served: Served, values: Iterable<readonly [number, Uint8Array]>): void {
  for (const [code, value] of values) put(options, served, code, value)
}

/** Sets an option unless it is there already; the operator's own bytes win. */
function put(options: Options, served: Served, code: number, value: Uint8Array | undefined): void {
  const chosen = served.own.size ? (served.own.get(code) ?? value) : value
  if (chosen && !options.has(code)) options.set(code, chosen)
}

const bootFile = (decision: BootDecision): string => (decision.kind === 'loader' && decision.via === 'tftp' ? decision.path : decision.url)

// Lore: edk2 ignores a URL unless the reply says HTTPClient; PXE firmware wants no vendor class from a full server, but for what a quirk knows.
function putBoot(options: Options, { client, served }: Question, decision: BootDecision): void {
  if (decision.kind === 'loader' && decision.via === 'tftp' && decision.offer === 'bypass') {
    put(options, served, option.vendorClass.code, pxeClass)
    put(options, served, option.vendorOptions.code, bootThisFile)
  }
  if (decision.kind === 'loader' && decision.via === 'http') put(options, served, option.vendorClass.code, httpClass)
  else put(options, served, option.tftpServerName.code, served.addressText)
  // Lore: old BIOS ROMs read option 67 up to a NUL, and past its end where there is none.
  const isOldRom = client.stage === 'firmware' && decision.kind === 'loader' && decision.arch === 0
  put(options, served, option.bootFile.code, Buffer.from(bootFile(decision) + (isOldRom ? '\0' : ''), 'latin1'))
}

/** The header field has room for 127 bytes and a NUL; what is longer stands in option 67 alone. An operator's own 67 wins here too. */
function headerFile(served: Served, decision: BootDecision): string {
  const own = served.own.get(option.bootFile.code)
  const file = own ? readText(own) : bootFile(decision)
  return file.length < 128 ? file : ''
}

/**
 * What the client asked for, in its order (RFC 2132 section 9.8), then the router, which all need, and the operator's own.
 * A client that sent no list gets everything.
 */
function putAsked(options: Options, { packet, served }: Question, hostname: string | undefined): void {
  const asked = packet.options.get(option.parameterList.code)
  const codes = asked ?? [option.hostName.code, ...served.common.keys()]
  for (const code of codes) {
    if (code === option.hostName.code && hostname !== undefined) put(options, served, code, Buffer.from(hostname, 'latin1'))
    else if (code === option.tftpServers.code) put(options, served, code, served.addressBytes)
    else put(options, served, code, served.common.get(code))
  }
  put(options, served, option.router.code, served.common.get(option.router.code))
  putAll(options, served, served.own)
}

/** Echoes: machine id (RFC 4578), client id (RFC 6842), subnet selection (RFC 3011), relay information (RFC 3046), which the encoder puts last. */
function endOptions(options: Options, request: Packet): void {
  echo(options, request, option.clientUuid.code)
  echo(options, request, option.clientId.code)
  echo(options, request, option.subnetSelection.code)
  echo(options, request, option.relayAgent.code)
}

function echo(options: Options, { options: sent }: Packet, code: number): void {
  const value = sent.get(code)
  if (value) options.set(code, value)
}

/** A boot server's answer names the menu item that was asked for (PXE 2.1, section 2.4), where one was. */
function bootItemOf({ options }: Packet): Uint8Array | undefined {
  const bytes = options.get(option.vendorOptions.code)
  if (!bytes) return undefined
  for (let at = 0; at + 1 < bytes.length; at += 2 + (bytes[at + 1] as number)) {
    if (bytes[at] === pxeOption.bootItem.code && bytes[at + 1] === 4 && at + 6 <= bytes.length)
      return Uint8Array.of(...bytes.subarray(at, at + 6), 255)
  }
  return undefined
}
