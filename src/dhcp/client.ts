// A DHCP message → who asks, as decide wants to know it. Used by the engine; looks at what the client says, never at what it should be.
import { decodeMac, type Mac } from '../boot/address.ts'
import { type Arrival, type Client, ownUserClass, type Stage } from '../boot/client.ts'
import { hasIpxeOption, ipxeOption, readUserClasses } from './ipxe.ts'
import { option, readOption } from './option.ts'
import type { Packet } from './packet.ts'
import { httpVendorClass, pxeVendorClass, readArchs, readUuid } from './pxe.ts'

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

/** The Ethernet address of the sender, or undefined when it has none: another kind of hardware, all zeros, or a group address. */
export function readMac({ htype, chaddr }: Packet): Mac | undefined {
  if (htype !== 1 || chaddr.length !== 6 || (chaddr[0] as number) & 1) return undefined
  return chaddr.some((byte) => byte !== 0) ? decodeMac(chaddr) : undefined
}

/** The client of this message, whose MAC the caller has read. Text is cut to 255 characters of printable ASCII, because it goes to logs and pages. */
export function readClient({ options }: Packet, mac: Mac, arrival: Arrival): Client {
  const vendorClass = printable(readOption(options, option.vendorClass))
  const userClasses = readUserClasses(options)
  const archs = readArchs(options)
  const isHttpBoot = vendorClass?.startsWith(httpVendorClass) === true
  const isBootFirmware = isHttpBoot || archs.length > 0 || vendorClass?.startsWith(pxeVendorClass) === true
  const client: Writable<Client> = {
    mac,
    stage: readStage(userClasses, options.has(option.ipxe.code), isBootFirmware),
    archs,
    isHttpBoot,
    speaksHttp: hasIpxeOption(options, ipxeOption.http),
    arrival,
  }
  const uuid = readUuid(options)
  if (uuid !== undefined) client.uuid = uuid
  if (vendorClass !== undefined) client.vendorClass = vendorClass
  const [clientId, hostname] = [readOption(options, option.clientId), printable(readOption(options, option.hostName))]
  if (clientId?.length) client.clientId = Buffer.from(clientId.subarray(0, textMax)).toString('hex')
  if (hostname) client.hostname = hostname
  if (userClasses.length) client.userClass = printable(userClasses.join(',')) as string
  return client
}

// Lore: iPXE repeats the vendor class of an earlier reply, so option 60 tells firmware from a system, never one loader from another.
function readStage(userClasses: readonly string[], hasIpxeOptions: boolean, isBootFirmware: boolean): Stage {
  if (userClasses.includes(ownUserClass)) return 'bivouac'
  if (hasIpxeOptions || userClasses.some((name) => name.includes('iPXE'))) return 'ipxe'
  return isBootFirmware ? 'firmware' : 'system'
}

const isPrintable = /^[\x20-\x7e]*$/

/** In pieces (RFC 3396) an option may have 64 KB; no name and no identifier that is meant so is longer than one option. */
export const textMax = 255

const printable = (text: string | undefined): string | undefined => {
  const short = text?.slice(0, textMax)
  return short === undefined || isPrintable.test(short) ? short : short.replace(/[^\x20-\x7e]/g, '?')
}
