// What a server on the stage is: its name, the programs it needs, and how it is started in the foreground. Described in the files beside
// this one, started by stage.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** One program of a peer. It stays in the foreground; it is ready when `ports` (`udp:67`) are bound. */
export type Program = { readonly argv: readonly string[]; readonly ports: readonly string[]; readonly env?: Record<string, string> }

export type Peer = {
  readonly name: string
  /** Programs that must be installed; empty for what npm brings. */
  readonly needs: readonly string[]
  /** Writes its configuration into the folder, which is its own, and tells what to start, in order. */
  readonly launch: (folder: string) => readonly Program[]
}

/** Folders beside PATH where programs may lie: those of `--peers`, unpacked packages that were not installed. */
export const extraFolders: string[] = []

/** The path of an installed program; undefined when there is none. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin', ...extraFolders]
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** The path of a program that `needs` has been checked for; its bare name when it is missing all the same. */
export const program = (name: string): string => findProgram(name) ?? name

/** A server of ours in TypeScript that shows an npm package, under the running Node. */
export const nodeProgram = (file: string, ...args: string[]): string[] => [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  join(import.meta.dirname, file),
  ...args,
]

/** One peer that is several: all of them are started, and count as one. */
export function joinPeers(name: string, parts: readonly Peer[]): Peer {
  return { name, needs: parts.flatMap(({ needs }) => needs), launch: (folder) => parts.flatMap((part) => part.launch(folder)) }
}
