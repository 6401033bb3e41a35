// A deploy request: its body read as PXE Pilot reads it, its hosts found, its mistakes told in PXE Pilot's words. Pure; used by the API.
import { findMac, type Mac } from '../boot/address.ts'
import type { PilotHost } from './config.ts'

/** A refusal in PXE Pilot's words. `message` empty: an empty body. */
export class PilotError extends Error {
  readonly status: number
  constructor(status: number, message = '', options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

export type DeployAsk = { readonly name?: string; readonly mac?: string; readonly isReboot: boolean; readonly hasConfiguration: boolean }
export type DeployTarget = { readonly host: PilotHost; readonly ask: DeployAsk }

/** `{"hosts":[{"name","macAddress","reboot"}]}`; the case of keys does not matter, unknown keys are passed over. Throws PilotError 400. */
export function parseDeploy(text: string): DeployAsk[] {
  const body = parseJson(text)
  if (body === null) return []
  const hosts = isBlock(body) ? pick(body, 'hosts') : undefined
  if (hosts === undefined || hosts === null) {
    if (isBlock(body)) return []
    throw new PilotError(400)
  }
  if (!Array.isArray(hosts) || !hosts.every((one) => isBlock(one) || one === null)) throw new PilotError(400)
  return hosts.map((one) => readHost(one ?? {}))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new PilotError(400)
  }
}

type Block = Readonly<Record<string, unknown>>
const isBlock = (value: unknown): value is Block => typeof value === 'object' && value !== null && !Array.isArray(value)

/** As Go's decoder: the exact key, else one that differs in case only. */
function pick(block: Block, ...names: readonly string[]): unknown {
  for (const name of names) if (Object.hasOwn(block, name)) return block[name]
  const lower = names.map((name) => name.toLowerCase())
  const key = Object.keys(block).find((one) => lower.includes(one.toLowerCase()))
  return key === undefined ? undefined : block[key]
}

function readHost(block: Block): DeployAsk {
  const name = textOf(pick(block, 'name'))
  // The program knows macAddress; its README writes mac_address.
  const mac = textOf(pick(block, 'macAddress', 'mac_address'))
  const reboot = pick(block, 'reboot') ?? false
  if (typeof reboot !== 'boolean') throw new PilotError(400)
  return { ...(name && { name }), ...(mac && { mac }), isReboot: reboot, hasConfiguration: Boolean(textOf(pick(block, 'configuration'))) }
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw new PilotError(400)
  return value
}

/** The hosts that are meant, in the order of the request; the first mistake ends it. Throws PilotError. */
export function findTargets(asks: readonly DeployAsk[], hosts: readonly PilotHost[]): DeployTarget[] {
  const seen = new Set<string>()
  return asks.map((ask) => {
    const host = findTarget(ask, hosts)
    if (seen.has(host.name)) throw new PilotError(409, `Host <${host.name}> appears several times in query`)
    seen.add(host.name)
    return { host, ask }
  })
}

function findTarget({ name, mac: said, hasConfiguration }: DeployAsk, hosts: readonly PilotHost[]): PilotHost {
  // Ours answers 409 where the original's misspelt kind makes it 500.
  if (hasConfiguration) throw new PilotError(409, 'Configuration attribute for a host in this context is not allowed')
  if (name === undefined && said === undefined) throw new PilotError(400, 'Either Name or MACAddress must be provided for each Host')
  const mac: Mac | undefined = said === undefined ? undefined : findMac(said)
  const byMac = mac && hosts.find(({ mac_addresses: macs }) => macs.includes(mac))
  const told = (said ?? '').toLowerCase()
  if (name === undefined) {
    if (byMac) return byMac
    throw new PilotError(404, `No host declared with MAC address <${told}>`)
  }
  const byName = hosts.find((host) => host.name === name)
  if (!byName) throw new PilotError(404, `No host declared for name <${name}>`)
  if (said === undefined || byMac === byName) return byName
  throw new PilotError(409, byMac ? `Host <${name}> does not match MAC address <${told}>` : `MAC address <${told}> does not match host <${name}>`)
}
