// Finds the iPXE scripts that people put into the depot by hand, for the lint of menus. Used by `config check`. It reads; it changes nothing.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Finding } from '../store/mistake.ts'
import { lintMenuScript } from './lint-menu.ts'

/** Folders that hold no scripts and very many files. */
const passed: ReadonlySet<string> = new Set(['apk', 'releases', 'configs', 'overlays', 'stations', 'profiles'])
const maxFiles = 500
const maxBytes = 256 * 1024

/** All that is wrong with menus in `*.ipxe` files of the depot, at most four folders deep. */
export function lintHandMenus(depot: string): Finding[] {
  return listScripts(depot, '', 4)
    .slice(0, maxFiles)
    .flatMap((path) => {
      const folder = dirname(path)
      return lintMenuScript(readFileSync(join(depot, path), 'utf8'), path, {
        hasFile: (file) => isOurs(file) || existsSync(join(depot, file)),
        ...(folder !== '.' && { folder }),
      })
    })
}

/** Names that we make up ourselves. */
const isOurs = (path: string): boolean => /^(boot\/|boot\.ipxe$|t\/|answers\/)/.test(path)

function listScripts(depot: string, folder: string, depth: number): string[] {
  try {
    return readdirSync(join(depot, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = folder ? `${folder}/${entry.name}` : entry.name
      if (entry.name.startsWith('.')) return []
      if (entry.isDirectory()) return depth > 0 && !(folder === '' && passed.has(entry.name)) ? listScripts(depot, path, depth - 1) : []
      return entry.name.endsWith('.ipxe') && statSync(join(depot, path)).size <= maxBytes ? [path] : []
    })
  } catch {
    return []
  }
}
