// The site's hosts and dhcphosts files on disk: read again when they changed, the last good reading kept. Given to the record book by server.ts.
// It never writes; a folder stands for all its files in the order of their names, as in dnsmasq.
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Network } from '../boot/network.ts'
import type { Reservation } from '../boot/reservation.ts'
import { codeOf } from '../store/atomic.ts'
import type { Finding } from '../store/mistake.ts'
import { type DhcpHostsFile, parseDhcpHosts } from './dhcphosts.ts'
import { type HostsFile, parseHosts } from './hosts.ts'
import { type HostFiles, joinHostFiles } from './join.ts'

export type HostFileOptions = {
  /** Files or folders, absolute. */
  readonly hosts: readonly string[]
  readonly dhcphosts: readonly string[]
  readonly networks?: readonly Network[]
}

/** As the record book takes it (store/record, `hostFiles`). */
export type HostFileReader = {
  readonly scan: (isForced: boolean) => Promise<boolean>
  readonly reservations: () => readonly Reservation[]
  readonly problems: () => readonly Finding[]
  readonly folders: () => readonly string[]
}

const bytesMax = 16 * 1024 * 1024
const filesMax = 1000

/** A reader that has read nothing yet. */
export function createHostFileReader({ hosts, dhcphosts, networks = [] }: HostFileOptions): HostFileReader {
  const texts = new Map<string, string>()
  let folders: readonly string[] = []
  let before = ''
  let joined: ReturnType<typeof joinHostFiles> = { reservations: [], findings: [] }
  let failures: readonly Finding[] = []

  async function readAll<T>(
    paths: readonly string[],
    parse: (text: string, file: string) => T,
    found: Finding[],
    seen: Set<string>,
    into: Set<string>,
  ): Promise<T[]> {
    const read: T[] = []
    for (const path of paths) {
      const { files, folder, failure } = await listFiles(path)
      into.add(folder)
      if (failure) found.push(failure)
      for (const file of failure && !files.length ? keptOf(path) : files) {
        const failed = await load(file)
        if (failed) found.push(failed)
        seen.add(file)
        const text = texts.get(file)
        if (text !== undefined) read.push(parse(text, file))
      }
    }
    return read
  }
  /** What was read before of a path that cannot be looked at now: a lost mount takes no reservation away. */
  const keptOf = (path: string): string[] => [...texts.keys()].filter((file) => file === path || file.startsWith(`${path}/`)).sort()

  async function load(file: string): Promise<Finding | undefined> {
    try {
      const { size } = await stat(file)
      if (size > bytesMax) return failure('file-big', file, `has more than ${bytesMax} bytes and is passed over`)
      texts.set(file, await readFile(file, 'utf8'))
      return undefined
    } catch (error) {
      return failure('file-unreadable', file, `cannot be read, what was read before stays in force: ${(error as Error).message}`)
    }
  }

  return {
    scan: async () => {
      const [found, seen, into]: [Finding[], Set<string>, Set<string>] = [[], new Set(), new Set()]
      const read: HostFiles = {
        hosts: await readAll(hosts, parseHosts, found, seen, into),
        dhcphosts: await readAll(dhcphosts, parseDhcpHosts, found, seen, into),
      }
      for (const file of texts.keys()) if (!seen.has(file)) texts.delete(file)
      folders = [...into]
      failures = found
      const now = JSON.stringify([[...seen].map((file) => [file, texts.get(file)]), found])
      if (now === before) return false
      before = now
      joined = joinHostFiles(read, networks)
      return true
    },
    reservations: () => joined.reservations,
    problems: () => [...failures, ...joined.findings],
    folders: () => folders,
  }
}

/** The files that a path stands for: itself, or what is in the folder but for hidden files and editors' copies. */
async function listFiles(path: string): Promise<{ files: string[]; folder: string; failure?: Finding }> {
  try {
    if (!(await stat(path)).isDirectory()) return { files: [path], folder: dirname(path) }
    // Lore: dnsmasq passes over names that begin with a dot or #, or end in ~.
    const names = (await readdir(path)).filter((name) => !/^[.#]|~$/.test(name)).sort()
    const files: string[] = []
    for (const name of names.slice(0, filesMax)) if ((await stat(join(path, name))).isFile()) files.push(join(path, name))
    return { files, folder: path }
  } catch (error) {
    const isGone = codeOf(error) === 'ENOENT'
    return {
      files: [],
      folder: dirname(path),
      failure: isGone
        ? failure('file-missing', path, 'is not there; what was read of it before stays in force')
        : failure('file-unreadable', path, (error as Error).message),
    }
  }
}

const failure = (code: string, file: string, message: string): Finding => ({ severity: 'error', code, message, file })

/** The files as they are now, for commands. Throws nothing: what cannot be read is a finding. */
export async function readHostFiles({
  hosts,
  dhcphosts,
}: Pick<HostFileOptions, 'hosts' | 'dhcphosts'>): Promise<HostFiles & { readonly failures: readonly Finding[] }> {
  const failures: Finding[] = []
  const load = async <T>(paths: readonly string[], parse: (text: string, file: string) => T): Promise<T[]> => {
    const read: T[] = []
    for (const path of paths) {
      const { files, failure: failed } = await listFiles(path)
      if (failed) failures.push(failed)
      for (const file of files) read.push(parse(await readFile(file, 'utf8'), file))
    }
    return read
  }
  const read: { hosts: HostsFile[]; dhcphosts: DhcpHostsFile[] } = {
    hosts: await load(hosts, parseHosts),
    dhcphosts: await load(dhcphosts, parseDhcpHosts),
  }
  return { ...read, failures }
}
