// From a controller's MAC to its address: the kernel's neighbour table, and a sweep of a subnet that fills it. Used where a record knows the MAC alone.
import { type Ipv4, findMac, type Mac, numberToIpv4, parseSubnet, type Subnet } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import type { Run } from './run.ts'

/** Addresses by MAC. */
export type Neighbours = ReadonlyMap<Mac, Ipv4>

/**
 * Lines of `arp -an` (`? (10.0.0.7) at 52:54:00:0:0:7 [ether] on eth0`), of `ip neigh` and of /proc/net/arp → addresses. Short octets are filled up;
 * lines that say neither are passed over.
 */
export function parseNeighbours(text: string): Neighbours {
  const found = new Map<Mac, Ipv4>()
  for (const line of text.split('\n')) {
    const ip = /\b(\d{1,3}(?:\.\d{1,3}){3})\b/.exec(line)?.[1]
    const hardware = /\b([0-9a-f]{1,2}(?:[:-][0-9a-f]{1,2}){5})\b/i.exec(line)?.[1]
    const mac =
      hardware &&
      findMac(
        hardware
          .split(/[:-]/)
          .map((part) => part.padStart(2, '0'))
          .join(':'),
      )
    if (ip && mac && mac !== nobody && !/\b(FAILED|INCOMPLETE)\b/.test(line)) found.set(mac, ip as Ipv4)
  }
  return found
}

// The kernel's entry for an address that did not answer.
const nobody = '00:00:00:00:00:00'

/** A sweep is for a lab's subnet, not for a carrier's. */
const maxHosts = 4096

/** The addresses of a subnet without its first and last. Throws InputError for one that is too big to sweep. */
export function listHosts({ network, prefix }: Subnet): Ipv4[] {
  const count = 2 ** (32 - prefix) - 2
  if (count > maxHosts) throw new InputError('sweep-size', `a subnet of ${count} addresses is too big to sweep (at most ${maxHosts})`)
  return Array.from({ length: Math.max(0, count) }, (_, index) => numberToIpv4(network + 1 + index))
}

/** Asks every address of the subnets once by fping, which fills the table; those that do not answer are no failure. Throws InputError for a subnet that is none. */
export async function sweep(subnets: readonly string[], run: Run): Promise<void> {
  const asked = [...new Set(subnets)].map((text) => ({ text, hosts: listHosts(parseSubnet(text)) }))
  await Promise.all(asked.map(({ text }) => run(['fping', '-c', '1', '-q', '-g', text], { timeoutMs: 60_000 }).catch(passUnreachable)))
}

/** Lore: fping ends with 1 when some did not answer, which is the rule. */
function passUnreachable(error: Error): void {
  if ((error as { code?: string }).code === 'power-tool-missing') throw error
}
