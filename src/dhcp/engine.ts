// One datagram in, the answers out: which networks it concerns, what each says, and the events. Used by server.ts, which has the sockets.
// Silence is an empty list. Waits for nothing and sends nothing.
import { type Ipv4, ipv4ToNumber, type Mac } from '../boot/address.ts'
import type { Client } from '../boot/client.ts'
import type { Decision } from '../boot/decide.ts'
import { DecodeError } from '../boot/error.ts'
import type { BootEvent, Emit, EventKind } from '../boot/event.ts'
import type { Ask, Book, RequestForm } from './book.ts'
import { readClient, readMac, textMax } from './client.ts'
import type { Leases } from './leases.ts'
import { createLimiter } from './limit.ts'
import { option, readOption } from './option.ts'
import { decodePacket, encodePacket, type MessageType, messageType, type Packet } from './packet.ts'
import { readRelayWishes } from './relay.ts'
import { type BootDecision, buildNak, buildProxyReply, buildReply, destinationOf, limitBytes, type Question } from './reply.ts'
import { createSelection, type Origin } from './selection.ts'
import type { Served } from './served.ts'
import { addressText } from './text.ts'

/** A datagram to be sent out of the network's own socket, or out of its proxy socket. `isDurable`: not before the lease is written. */
export type Outgoing = {
  readonly bytes: Buffer
  readonly address: string
  readonly port: number
  readonly served: Served
  readonly isFromProxyPort: boolean
  readonly isDurable: boolean
}

export type EngineOptions = {
  readonly served: readonly Served[]
  readonly decide: (client: Client) => Decision
  readonly leases: Leases
  readonly now: () => number
  readonly emit: Emit
  readonly ports: { readonly server: number; readonly client: number }
}

export type Engine = { readonly handle: (bytes: Uint8Array, origin: Origin) => readonly Outgoing[] }

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

const nothing: readonly Outgoing[] = []
// How often the same trouble is told again.
const malformedEveryMs = 1000
const poolFullEveryMs = 60_000

/** An engine over the networks and their leases. It throws only what `decide` throws. */
export function createEngine({ served: all, decide, leases, now, emit, ports }: EngineOptions): Engine {
  const selection = createSelection(all)
  const mayTellMalformed = createLimiter(malformedEveryMs, now)
  const mayTellFull = createLimiter(poolFullEveryMs, now)

  const tell = (kind: EventKind, { client, packet, served }: Question, ip?: number, detail?: BootEvent['detail']) => {
    const event: Writable<BootEvent> = { at: now(), kind, mac: client.mac, network: served.network.name }
    if (ip) event.ip = addressText(ip)
    if (packet.giaddr) event.detail = { ...detail, relay: addressText(packet.giaddr) }
    else if (detail) event.detail = detail
    emit(event)
  }

  const decode = (bytes: Uint8Array, { address }: Origin): Packet | undefined => {
    try {
      return decodePacket(bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      const more = mayTellMalformed('packet')
      if (more !== undefined) emit({ at: now(), kind: 'malformed', detail: { door: 'dhcp', peer: address, reason: error.message, more } })
      return undefined
    }
  }

  const handle = (bytes: Uint8Array, origin: Origin): readonly Outgoing[] => {
    const packet = decode(bytes, origin)
    if (packet?.op !== 'request') return nothing
    const type = messageType(packet)
    const mac = readMac(packet)
    if (!type || !mac) return nothing
    const chosen = selection.choose(packet, type, origin, mac)
    const first = chosen[0]
    if (!first) return refuseRelay(packet, mac)
    const client = readClient(packet, mac, first.arrival)
    if (type === 'discover' && !origin.isProxyPort) tellDiscover(packet, client, chosen)
    if (chosen.length === 1) return answer(type, ask(packet, client, first), origin)
    return chosen.flatMap((served) => answer(type, ask(packet, { ...client, arrival: served.arrival }, served), origin))
  }

  const ask = (packet: Packet, client: Client, served: Served): Question => {
    const override = packet.giaddr ? readRelayWishes(packet.options).serverIdOverride : undefined
    return { packet, client, served, serverId: override ?? served.address }
  }

  const refuseRelay = ({ giaddr }: Packet, mac: Mac): readonly Outgoing[] => {
    const more = giaddr ? mayTellMalformed('relay') : undefined
    if (more !== undefined) {
      const reason = `relay ${addressText(giaddr)} is in no network's subnet or relays`
      emit({ at: now(), kind: 'dropped', mac, detail: { door: 'dhcp', reason, more } })
    }
    return nothing
  }

  const tellDiscover = ({ giaddr }: Packet, client: Client, chosen: readonly Served[]) => {
    const [arch] = client.archs
    emit({
      at: now(),
      kind: 'discover',
      mac: client.mac,
      ...(chosen.length === 1 && { network: client.arrival.network }),
      detail: {
        stage: client.stage,
        ...(arch !== undefined && { arch }),
        ...(client.vendorClass && { vendorClass: client.vendorClass }),
        ...(giaddr && { relay: addressText(giaddr) }),
      },
    })
  }

  const answer = (type: MessageType, question: Question, origin: Origin): readonly Outgoing[] => {
    const { served, packet } = question
    if (origin.isProxyPort) return answerAsBootServer(type, question, origin)
    if (served.network.mode === 'proxy') return answerAsProxy(type, question)
    const book = leases.book(served.network.name)
    if (!book) return nothing
    if (type === 'discover') return answerDiscover(question, book)
    if (type === 'request') return answerRequest(question, book, origin)
    if (type === 'inform') return answerInform(question, origin)
    if (type === 'decline' && isMeant(question))
      return noteEnd('decline', book.decline, question, readOption(packet.options, option.requestedAddress))
    if (type === 'release' && isMeant(question)) return noteEnd('release', book.release, question, packet.ciaddr)
    return nothing
  }

  const answerDiscover = (question: Question, book: Book): readonly Outgoing[] => {
    const { client, served } = question
    const decision = decide(client)
    if (decision.kind === 'ignore') return nothing
    const grant = book.offer(makeAsk(question, decision))
    if (!grant) {
      const more = mayTellFull(served.network.name)
      if (more !== undefined) tell('pool-full', question, undefined, { reason: `no free address in the pool of ${served.network.name}`, more })
      return nothing
    }
    tell('offer', question, grant.ip, describe(decision))
    if (decision.kind === 'lease' && decision.trouble !== undefined) tell('no-loader', question, grant.ip, { reason: decision.trouble })
    return [send(buildReply('offer', question, decision, grant), question, 'offer')]
  }

  const answerRequest = (question: Question, book: Book, origin: Origin): readonly Outgoing[] => {
    const { packet, client, served } = question
    if (!isMeant(question)) {
      book.withdraw(client.mac)
      return nothing
    }
    const form = formOf(question, origin)
    const ip = form === 'renewing' || form === 'rebinding' ? packet.ciaddr : (readOption(packet.options, option.requestedAddress) ?? packet.ciaddr)
    const decision = ip ? decide(client) : undefined
    if (!decision || decision.kind === 'ignore') return nothing
    tell('request', question, ip, { form })
    const grant = book.bind(makeAsk(question, decision), ip, form)
    if (grant === 'unknown') return nothing
    if (grant === 'wrong') return refuse(question, ip)
    selection.settled(client.mac, served)
    tell('ack', question, grant.ip, { seconds: grant.seconds })
    tellScript(question, decision, grant.ip)
    return [send(buildReply('ack', question, decision, grant), question, 'ack')]
  }

  const refuse = (question: Question, ip: number): readonly Outgoing[] => {
    const message = `${addressText(ip)} is not yours on network ${question.served.network.name}`
    tell('nak', question, ip, { reason: message })
    return [send(buildNak(question, message), question, 'nak')]
  }

  const answerInform = (question: Question, { address }: Origin): readonly Outgoing[] => {
    const decision = decide(question.client)
    if (decision.kind === 'ignore') return nothing
    const ip = question.packet.ciaddr || ipv4ToNumber(address as Ipv4)
    tell('inform', question, ip)
    return [send(buildReply('ack', { ...question, packet: { ...question.packet, ciaddr: ip } }, decision, undefined), question, 'ack', ip)]
  }

  const noteEnd = (kind: 'decline' | 'release', end: Book['decline'], question: Question, ip: number | undefined): readonly Outgoing[] => {
    if (ip && end(question.client.mac, ip)) tell(kind, question, ip)
    return nothing
  }

  // Beside another server: an offer of something to boot. The REQUEST goes to that server, but tells us the address of the station.
  const answerAsProxy = (type: MessageType, question: Question): readonly Outgoing[] => {
    const { client, packet } = question
    if (client.stage === 'system') return nothing
    const ip = readOption(packet.options, option.requestedAddress)
    if (type === 'request' && ip) tell('request', question, ip, { server: 'another' })
    const decision = type === 'discover' ? decide(client) : undefined
    if (decision?.kind === 'ignore' && decision.trouble) tell('no-loader', question, undefined, { reason: decision.trouble })
    if (!decision || !isBoot(decision)) return nothing
    tell('offer', question, undefined, describe(decision))
    tellScript(question, decision)
    return [send(buildProxyReply('offer', question, decision, decision.kind === 'loader' ? decision.offer : 'bypass'), question, 'offer')]
  }

  // Port 4011: the client has its address and asks for the name of its file. The answer goes where the question came from (PXE 2.1, section 2.2.5).
  const answerAsBootServer = (type: MessageType, question: Question, origin: Origin): readonly Outgoing[] => {
    const { client, packet, served } = question
    if (client.stage === 'system' || (type !== 'request' && type !== 'inform')) return nothing
    const ip = packet.ciaddr || ipv4ToNumber(origin.address as Ipv4)
    tell('request', question, ip, { form: 'boot-server' })
    const decision = decide(client)
    if (!isBoot(decision)) return nothing
    tell('ack', question, ip, describe(decision))
    tellScript(question, decision, ip)
    const bytes = encode(buildProxyReply('ack', question, decision, 'complete'), packet)
    return [{ bytes, address: origin.address, port: origin.port, served, isFromProxyPort: true, isDurable: false }]
  }

  const tellScript = (question: Question, decision: Decision, ip?: number) => {
    if (decision.kind === 'script') tell('script-offered', question, ip, { url: decision.url, profile: decision.profile })
  }

  const send = (reply: Packet, { packet, served }: Question, type: 'offer' | 'ack' | 'nak', to?: number): Outgoing => {
    const { address, isRelay } = destinationOf(to ? { ...packet, ciaddr: to } : packet, type)
    const port = isRelay ? ports.server : ports.client
    return { bytes: encode(reply, packet), address, port, served, isFromProxyPort: false, isDurable: type === 'ack' && reply.yiaddr !== 0 }
  }
  return { handle }
}

const encode = (reply: Packet, { options }: Packet): Buffer => encodePacket(reply, limitBytes(readOption(options, option.maxMessageBytes)))

const isBoot = (decision: Decision): decision is BootDecision => decision.kind === 'loader' || decision.kind === 'script'

/** Does the message name us as its server, or nobody? */
function isMeant({ packet, served, serverId }: Question): boolean {
  const named = readOption(packet.options, option.serverId)
  return named === undefined || named === serverId || named === served.address
}

/** RFC 2131 section 4.3.6. A renewing client writes to our own address; through a relay only one that was told to (RFC 5107). */
function formOf({ packet, served, serverId }: Question, origin: Origin): RequestForm {
  if (packet.options.has(option.serverId.code)) return 'selecting'
  if (!packet.ciaddr) return 'init-reboot'
  const isUnicast = packet.giaddr ? serverId !== served.address : origin.served !== undefined
  return isUnicast ? 'renewing' : 'rebinding'
}

function makeAsk({ packet: { options }, client }: Question, decision: Exclude<Decision, { kind: 'ignore' }>): Ask {
  const clientId = readOption(options, option.clientId)
  return {
    mac: client.mac,
    address: decision.address,
    wanted: readOption(options, option.requestedAddress),
    askedSeconds: readOption(options, option.leaseSeconds),
    leaseSeconds: decision.leaseSeconds,
    hostname:
      decision.hostname ??
      readOption(options, option.hostName)
        ?.slice(0, textMax)
        .replace(/[^A-Za-z0-9_.-]/g, '?'),
    clientId: clientId && Buffer.from(clientId.subarray(0, textMax)).toString('hex'),
  }
}

const describe = (decision: Decision): NonNullable<BootEvent['detail']> => {
  if (decision.kind === 'loader') return { gets: 'loader', file: decision.via === 'http' ? decision.url : decision.file, arch: decision.arch }
  return decision.kind === 'script' ? { gets: 'script', url: decision.url } : { gets: 'address' }
}
