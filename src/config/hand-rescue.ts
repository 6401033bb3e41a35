// Rescue entries written by hand in `pxelinux.cfg/`: whether the files that their image fetches from `fullroot=` are in the depot. Used by `config check`. Only reads.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding } from '../store/mistake.ts'
import type { Config } from './schema.ts'

/** What the image fetches, relative to `fullroot=`; `root.sqfs` may be in the initrd instead. */
export const rescueFiles: readonly string[] = ['root.sqfs', 'Install', 'pubkey']

/** One `fullroot=` of a hand-written entry. `folder` is the depot's when the URL is this server's, '' for the depot itself. */
export type RescueRoot = { readonly file: string; readonly line: number; readonly url: string; readonly folder?: string }

/** All of them. Links are not followed: they lead hosts to entries that are read by themselves. */
export function listRescueRoots(config: Config): RescueRoot[] {
  return listNames(join(config.depot, 'pxelinux.cfg')).flatMap((name) => {
    const lines = readFileSync(join(config.depot, 'pxelinux.cfg', name), 'utf8').split('\n')
    return lines.flatMap((text, at) => {
      const url = /^\s*append\s(?:.*\s)?fullroot=(\S+)/i.exec(text)?.[1]
      const folder = url === undefined ? undefined : folderOf(url, config)
      return url === undefined ? [] : [{ file: `pxelinux.cfg/${name}`, line: at + 1, url, ...(folder !== undefined && { folder }) }]
    })
  })
}

/** What is not there below our own URLs; those elsewhere are asked only by `bivouac rescue check`. */
export function lintHandRescue(config: Config): Finding[] {
  return listRescueRoots(config).flatMap(({ file, line, url, folder }) =>
    folder === undefined
      ? []
      : rescueFiles
          .filter((name) => !existsSync(join(config.depot, folder, name)))
          .map(
            (name): Finding => ({
              severity: 'warning',
              code: 'rescue-file-missing',
              file,
              line,
              message: `fullroot=${url}: there is no ${join(folder, name)} in the depot, and the rescue image fetches it`,
            }),
          ),
  )
}

const maxEntries = 1000
const maxEntryBytes = 64 * 1024

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith('.') && statSync(join(folder, entry.name)).size <= maxEntryBytes)
      .map(({ name }) => name)
      .sort()
      .slice(0, maxEntries)
  } catch {
    return []
  }
}

function folderOf(url: string, { http, networks }: Config): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { protocol, hostname, port, pathname } = new URL(url)
  const isOwn = networks.some(({ serverAddress }) => serverAddress === hostname) && protocol === 'http:' && Number(port || 80) === http.port
  return isOwn || (http.url !== undefined && URL.canParse(http.url) && new URL(http.url).host === new URL(url).host)
    ? pathname.replace(/^\/+|\/+$/g, '')
    : undefined
}
