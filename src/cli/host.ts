// `bivouac host add|remove|list`: the site's hosts and dhcphosts files, changed together. A running server (or dnsmasq after SIGHUP) sees the change.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { contains, type Mac, parseIpv4, parseMac } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import type { Config } from '../config.ts'
import { formatDhcpHosts, parseDhcpHosts } from '../dnsmasq/dhcphosts.ts'
import { addHost, type HostPair, listHosts, removeHost } from '../dnsmasq/edit.ts'
import { formatHosts, parseHosts } from '../dnsmasq/hosts.ts'
import { codeOf, writeAtomic } from '../store/atomic.ts'
import type { Context } from './context.ts'
import { formatTable, say, sayJson } from './output.ts'

type Files = { readonly hosts?: string; readonly dhcphosts?: string }
type AddOptions = Files & { readonly mac: string[]; readonly ip: string; readonly domain?: string; readonly dryRun?: boolean }

export function addHostCommand(program: Command, context: () => Context): void {
  const host = program.command('host').description('hosts of the site’s hosts and dhcphosts files (dnsmasq.hosts, dnsmasq.dhcphosts)')
  withFiles(host.command('add <name>'))
    .description('write "ip fqdn name" into hosts and "mac,name,infinite" into dhcphosts')
    .requiredOption('--mac <mac...>', 'hardware address; several share the IP address')
    .requiredOption('--ip <address>', 'its IPv4 address')
    .option('--domain <domain>', 'its domain (default: that of the network that the address lies in)')
    .option('-n, --dry-run', 'tell the lines and write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac host add kiosk --mac 52:54:00:12:34:56 --ip 10.9.0.7\n  bivouac host add node1 --mac 52:54:00:00:00:01 52:54:00:00:00:02 --ip 10.9.0.8 --dry-run',
    )
    .action((name: string, options: AddOptions) => add(context(), name, options))
  withFiles(host.command('remove <name>'))
    .description('take a host out of both files')
    .option('-n, --dry-run', 'tell what would go and write nothing')
    .addHelpText('after', '\nExamples:\n  bivouac host remove kiosk\n  bivouac host remove kiosk --dry-run')
    .action((name: string, options: Files & { dryRun?: boolean }) => remove(context(), name, options))
  withFiles(host.command('list'))
    .description('all hosts of both files')
    .addHelpText('after', '\nExamples:\n  bivouac host list\n  bivouac host list --json --hosts conf/hosts --dhcphosts conf/dhcphosts')
    .action((options: Files) => list(context(), options))
}

/** The two files can be named, where the configuration names none or several. */
const withFiles = (command: Command): Command =>
  command
    .option('--hosts <file>', 'the hosts file (default: the first of dnsmasq.hosts)')
    .option('--dhcphosts <file>', 'the dhcphosts file (default: the first of dnsmasq.dhcphosts)')

export type PairPaths = { readonly hosts: string; readonly dhcphosts: string }

/** Which two files are meant; of a folder, the file `bivouac` in it. Throws InputError `host-files`. */
export async function findPair({ dnsmasq }: Config, given: Files): Promise<PairPaths> {
  const [hosts, dhcphosts] = [given.hosts ?? dnsmasq.hosts[0], given.dhcphosts ?? dnsmasq.dhcphosts[0]]
  if (hosts === undefined || dhcphosts === undefined)
    throw new InputError('host-files', 'name the files in the configuration (dnsmasq.hosts and dnsmasq.dhcphosts), or with --hosts and --dhcphosts')
  return { hosts: await inFolder(hosts), dhcphosts: await inFolder(dhcphosts) }
}

const inFolder = async (path: string): Promise<string> => ((await stat(path).catch(() => undefined))?.isDirectory() ? join(path, 'bivouac') : path)

/** Both files as they are; one that is not there is empty. */
export async function readPair({ hosts, dhcphosts }: PairPaths): Promise<HostPair> {
  return { hosts: parseHosts(await readOrEmpty(hosts), hosts), dhcphosts: parseDhcpHosts(await readOrEmpty(dhcphosts), dhcphosts) }
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return ''
    throw new InputError('file-unreadable', `cannot be read: ${(error as Error).message}`, { file: path }, { cause: error })
  }
}

/** Writes what changed; when the second file cannot be written the first is as before. */
async function writePair(before: HostPair, after: HostPair): Promise<void> {
  await writeText(before.hosts.file, formatHosts(before.hosts), formatHosts(after.hosts))
  try {
    await writeText(before.dhcphosts.file, formatDhcpHosts(before.dhcphosts), formatDhcpHosts(after.dhcphosts))
  } catch (error) {
    await writeText(before.hosts.file, formatHosts(after.hosts), formatHosts(before.hosts))
    throw error
  }
}

async function writeText(path: string, before: string, after: string): Promise<void> {
  if (before === after) return
  const mode = await stat(path).then(
    (found) => found.mode & 0o7777,
    () => 0o644,
  )
  await writeAtomic(path, after, mode)
}

async function add(context: Context, name: string, { mac, ip, domain: given, dryRun, ...files }: AddOptions): Promise<void> {
  const { config } = context.load()
  const address = parseIpv4(ip)
  const macs: Mac[] = mac.map((one) => parseMac(one))
  const domain = given ?? config.networks.find(({ subnet }) => contains(subnet, address))?.domain
  const before = await readPair(await findPair(config, files))
  const after = addHost(before, { name, macs, address, ...(domain !== undefined && { domain }) })
  if (!dryRun) await writePair(before, after)
  tell(context, before, after, dryRun === true)
}

async function remove(context: Context, name: string, { dryRun, ...files }: Files & { dryRun?: boolean }): Promise<void> {
  const before = await readPair(await findPair(context.load().config, files))
  const after = removeHost(before, name)
  if (!dryRun) await writePair(before, after)
  tell(context, before, after, dryRun === true)
}

type Change = { readonly file: string; readonly removed: readonly string[]; readonly added: readonly string[] }

function tell(context: Context, before: HostPair, after: HostPair, isDryRun: boolean): void {
  const changes = (['hosts', 'dhcphosts'] as const).map((which) => compareLines(before[which].file, before[which].lines, after[which].lines))
  if (context.json) return sayJson({ dryRun: isDryRun, changes })
  for (const { file, removed, added } of changes) {
    for (const line of removed) say(`${file}: - ${line}`)
    for (const line of added) say(`${file}: + ${line}`)
  }
  if (isDryRun) say('nothing is written (--dry-run)')
}

/** Which lines go and come. */
export function compareLines(file: string, before: readonly { readonly text: string }[], after: readonly { readonly text: string }[]): Change {
  const without = (lines: readonly { readonly text: string }[], others: readonly { readonly text: string }[]) => {
    const rest = others.map(({ text }) => text)
    return lines.flatMap(({ text }) => {
      const at = rest.indexOf(text)
      if (at < 0) return [text]
      rest.splice(at, 1)
      return []
    })
  }
  return { file, removed: without(before, after), added: without(after, before) }
}

async function list(context: Context, files: Files): Promise<void> {
  const hosts = listHosts(await readPair(await findPair(context.load().config, files)))
  if (context.json) return sayJson(hosts)
  say(
    formatTable(
      ['name', 'address', 'macs', 'where'],
      hosts.map(({ name, address, macs, lines }) => [name, address ?? '-', macs.join(' ') || '-', lines.join(' ')]),
    ),
  )
}
