// What the iPXE commands work with on this machine: the configured folders, the server's URL, the terminal. Used by main.
import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import { openIpxeTools } from '../ipxe/tools.ts'
import type { Context } from './context.ts'
import type { IpxeDeps } from './ipxe.ts'
import { say } from './output.ts'

/** Recipes and templates that come with Bivouac. */
export const recipesFolder = resolve(import.meta.dirname, '../../ipxe')

export function createIpxeDeps(context: () => Context): IpxeDeps {
  const open: IpxeDeps['open'] = (base) => {
    const { config } = context().load()
    const url = base ?? config.http.url ?? `http://${ownAddress(config.http.address)}:${config.http.port}`
    return openIpxeTools({ depot: config.depot, state: config.state, recipesFolder, site: { base: url.replace(/\/+$/, '') }, now: Date.now })
  }
  const { stderr } = process
  const screen = { isTerminal: stderr.isTTY === true, columns: stderr.columns ?? 80, write: (text: string) => void stderr.write(text) }
  return { open, json: () => context().json, say, screen }
}

/** As stations see this machine: the address that the server listens on, else the first one that leaves it. */
function ownAddress(listening: string): string {
  if (listening !== '0.0.0.0' && listening !== '::') return listening
  const found = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return found.find((one) => one.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1'
}
