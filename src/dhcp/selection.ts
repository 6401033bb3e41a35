// Which of our networks a message belongs to. Node does not tell on which interface a broadcast came in, so with several of them the
// question goes to all that may apply and each answer leaves by its own interface: a client hears only its own wire. The server
// identifier of its REQUEST then names the network, which is remembered for its next DISCOVER. Used by the engine.
import { containsNumber, type Ipv4, ipv4ToNumber, type Mac } from '../boot/address.ts'
import type { Network } from '../boot/network.ts'
import { option, readOption } from './option.ts'
import type { MessageType, Packet } from './packet.ts'
import { readRelayWishes } from './relay.ts'
import type { Served } from './served.ts'
import { addressText } from './text.ts'

/** Where a datagram came in: the socket bound to a network's own address, or (`served` absent) the one that hears broadcasts. */
export type Origin = {
  readonly served?: Served
  readonly isProxyPort: boolean
  /** The sender, as the socket saw it. */
  readonly address: string
  readonly port: number
}

export type Selection = {
  /** The networks that may answer, none when a relay is not ours to serve. */
  readonly choose: (packet: Packet, type: MessageType, origin: Origin, mac: Mac) => readonly Served[]
  /** The client took our offer on this network. */
  readonly settled: (mac: Mac, served: Served) => void
}

/** Two generations of this many MACs are remembered. */
const rememberedMax = 32_768

/** All networks, those behind relays too. */
export function createSelection(all: readonly Served[]): Selection {
  const locals = all.filter(({ network }) => network.interface !== undefined)
  const servers = all.filter(({ network }) => network.mode === 'server')
  const memory = createMemory()
  const holding = (address: number | undefined, among: readonly Served[]) =>
    address ? among.find(({ network }) => containsNumber(network.subnet, address)) : undefined

  const chooseRelayed = ({ giaddr, options }: Packet): readonly Served[] => {
    const wanted = readRelayWishes(options).linkSelection ?? readOption(options, option.subnetSelection)
    const served =
      wanted === undefined ? (holding(giaddr, servers) ?? servers.find(({ network }) => isRelay(network, giaddr))) : holding(wanted, servers)
    return served && mayRelay(served.network, giaddr) ? [served] : []
  }

  /** RFC 2131 section 4.3.6 tells a REQUEST's forms apart; one without server identifier and ciaddr is a client that has restarted. */
  const chooseForRequest = ({ options }: Packet): readonly Served[] => {
    if (readOption(options, option.serverId) !== undefined) return locals
    const served = holding(readOption(options, option.requestedAddress), locals)
    return served ? [served] : locals.filter(({ network }) => network.mode === 'server')
  }

  // Asked alone first: the network of last time. A second DISCOVER without a REQUEST in between means that the answer was not heard there.
  const chooseForDiscover = ({ options }: Packet, mac: Mac): readonly Served[] => {
    const selected = holding(readOption(options, option.subnetSelection), locals)
    const known = selected ?? memory.ask(mac)
    return known ? [known] : locals
  }

  const choose = (packet: Packet, type: MessageType, { served, isProxyPort, address }: Origin, mac: Mac): readonly Served[] => {
    if (served && isProxyPort) return [served]
    if (packet.giaddr) return chooseRelayed(packet)
    if (type === 'inform' || (packet.ciaddr && type !== 'discover')) {
      // Lore: some systems leave ciaddr out of an INFORM; the sender's address is as good.
      const home = holding(packet.ciaddr || ipv4ToNumber(address as Ipv4), servers)
      return home ? [home] : []
    }
    if (served) return [served]
    if (locals.length < 2) return locals
    return type === 'discover' ? chooseForDiscover(packet, mac) : chooseForRequest(packet)
  }
  const settled = (mac: Mac, served: Served) => {
    if (locals.length > 1) memory.set(mac, served)
  }
  return { choose, settled }
}

const isRelay = ({ relays }: Network, giaddr: number): boolean => relays.includes(addressText(giaddr))

const mayRelay = (network: Network, giaddr: number): boolean => containsNumber(network.subnet, giaddr) || isRelay(network, giaddr)

/** MAC → network, bounded without a search: when one generation is full, the one before it is dropped. */
function createMemory() {
  let young = new Map<Mac, { served: Served; isWaiting: boolean }>()
  let old: typeof young = new Map()
  const set = (mac: Mac, served: Served) => {
    if (young.size >= rememberedMax) [old, young] = [young, new Map()]
    young.set(mac, { served, isWaiting: false })
  }
  const ask = (mac: Mac): Served | undefined => {
    const known = young.get(mac) ?? old.get(mac)
    if (!known || known.isWaiting) return undefined
    known.isWaiting = true
    return known.served
  }
  return { set, ask }
}
