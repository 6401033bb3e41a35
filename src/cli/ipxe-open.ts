// What the iPXE commands work with on this machine: the configured folders, the server's URL, the terminal. Used by main.
import { resolve } from 'node:path'
import { guessBase } from '../ipxe/base.ts'
import { openIpxeTools } from '../ipxe/tools.ts'
import type { Context } from './context.ts'
import type { IpxeDeps } from './ipxe.ts'
import { say } from './output.ts'

/** Recipes and templates that come with Bivouac. */
export const recipesFolder = resolve(import.meta.dirname, '../../ipxe')

export function createIpxeDeps(context: () => Context): IpxeDeps {
  const open: IpxeDeps['open'] = (base) => {
    const { config } = context().load()
    return openIpxeTools({
      depot: config.depot,
      state: config.state,
      recipesFolder,
      site: { base: guessBase(base === undefined ? config.http : { ...config.http, url: base }) },
      now: Date.now,
    })
  }
  const { stderr } = process
  const screen = { isTerminal: stderr.isTTY === true, columns: stderr.columns ?? 80, write: (text: string) => void stderr.write(text) }
  return { open, json: () => context().json, say, screen }
}
