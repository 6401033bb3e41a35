// `bivouac dnsmasq render|check|import|reload`, `bivouac dhcp render|check` and `bivouac reload`: files of other DHCP servers, made, checked and read.
import { mkdir, readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { contains, type Ipv4 } from '../boot/address.ts'
import { ConflictError, InputError } from '../boot/error.ts'
import type { BootEvent } from '../boot/event.ts'
import type { Config } from '../config.ts'
import { composeHostFiles } from '../dnsmasq/compose.ts'
import { parseConf } from '../dnsmasq/conf.ts'
import { lintDhcpd, renderDhcpd } from '../dnsmasq/dhcpd.ts'
import { importConf, ownAddressOf } from '../dnsmasq/import.ts'
import { inventorySchema, lintInventory, renderInventory } from '../dnsmasq/inventory.ts'
import { joinHostFiles } from '../dnsmasq/join.ts'
import { renderKea } from '../dnsmasq/kea.ts'
import { type DhcpSite, makeSite } from '../dnsmasq/model.ts'
import { findProcess, reloadProcess } from '../dnsmasq/process.ts'
import { renderDnsmasq } from '../dnsmasq/render.ts'
import { readHostFiles } from '../dnsmasq/source.ts'
import { createLocalGate, type LocalGate } from '../server/local.ts'
import { writeAtomic } from '../store/atomic.ts'
import { checkValue, type Finding, formatFinding, formatPath, MistakesError } from '../store/mistake.ts'
import { readYaml } from '../store/yaml.ts'
import type { Context } from './context.ts'
import { addContainerCommand } from './dnsmasq-container.ts'
import { exitCodes, say, sayJson } from './output.ts'

type Target = 'dnsmasq' | 'dhcpd' | 'kea'
type Render = { readonly out?: string; readonly dryRun?: boolean; readonly for?: Target }

const withOut = (command: Command): Command =>
  command.option('--out <folder>', 'write the files there (default: print them)').option('-n, --dry-run', 'name the files of --out and write none')

export function addDnsmasqCommands(program: Command, context: () => Context): void {
  const dnsmasq = program.command('dnsmasq').description('dnsmasq’s files: made from the records, checked, read into ours')
  withOut(dnsmasq.command('render'))
    .description('dnsmasq.conf, hosts and dhcphosts of this site; same records, same bytes')
    .addHelpText('after', '\nExamples:\n  bivouac dnsmasq render\n  bivouac dnsmasq render --out conf')
    .action((options: Render) => render(context(), { ...options, for: 'dnsmasq' }))
  dnsmasq
    .command('check [conf]')
    .description('the site’s hosts and dhcphosts files, stricter than dnsmasq; with a dnsmasq.conf, the files that it names')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac dnsmasq check\n  bivouac dnsmasq check /etc/dnsmasq.conf --json\n\nExit code 2 when a line is lost; warnings alone are 0.',
    )
    .action((conf: string | undefined) => check(context(), conf))
  dnsmasq
    .command('import <conf>')
    .description('what a dnsmasq.conf says, as keys for bivouac.yaml, and what was not understood; writes nothing but with --out')
    .option('--out <folder>', 'write bivouac.yaml (and dhcphosts, for dhcp-host= lines) there; a name that ends in .yaml is the file itself')
    .option('-n, --dry-run', 'tell and write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac dnsmasq import /etc/dnsmasq.conf\n  bivouac dnsmasq import conf/dnsmasq.conf --out bivouac.yaml --dry-run',
    )
    .action((conf: string, options: Render) => importFrom(context(), conf, options))
  dnsmasq
    .command('reload')
    .description('make a dnsmasq that Bivouac does not run read its host files again; says when its main file asks for a restart')
    .option('--pid-file <file>', 'where its process number stands')
    .option('--container <name>', 'it runs in this container (docker or podman is asked for its process)')
    .option('--conf <file>', 'its main file (default: /etc/dnsmasq.conf)')
    .option('-n, --dry-run', 'check and tell, send no signal')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac dnsmasq reload --pid-file /run/dnsmasq.pid\n  bivouac dnsmasq reload --container pxeboot --conf conf/dnsmasq.conf --dry-run',
    )
    .action((options: ReloadOptions) => reloadForeign(context(), options))
  withOut(dnsmasq.command('inventory <file>'))
    .description('hosts, dhcphosts, dnsmasq.conf and 911boot from one list of nodes')
    .addHelpText('after', '\nExamples:\n  bivouac dnsmasq inventory nodes.yaml\n  bivouac dnsmasq inventory nodes.yaml --out conf --dry-run')
    .action((file: string, options: Render) => renderNodes(context(), file, options))
  addContainerCommand(dnsmasq, context)
  const dhcp = program.command('dhcp').description('configuration for sites that keep their DHCP server')
  withOut(dhcp.command('render'))
    .description('the same networks, hosts and loaders for another server')
    .addOption(new Option('--for <server>', 'which server').choices(['dnsmasq', 'dhcpd', 'kea']).makeOptionMandatory())
    .addHelpText('after', '\nExamples:\n  bivouac dhcp render --for dhcpd\n  bivouac dhcp render --for kea --out /etc/kea --dry-run')
    .action((options: Render) => render(context(), options))
  dhcp
    .command('check <dhcpd.conf>')
    .description('what a dhcpd.conf says and nobody can have meant')
    .addHelpText('after', '\nExamples:\n  bivouac dhcp check /etc/dhcp/dhcpd.conf')
    .action(async (path: string) => tellFindings(context(), lintDhcpd(await readText(path), path), path))
  program
    .command('reload')
    .description('check the records and host files, then make the running server read them, and tell what it did')
    .option('-n, --dry-run', 'check only')
    .addHelpText('after', '\nExamples:\n  bivouac reload\n  bivouac reload --dry-run')
    .action((options: { dryRun?: boolean }) => reload(context(), options.dryRun === true))
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new InputError('file-unreadable', `cannot be read: ${(error as Error).message}`, { file: path }, { cause: error })
  }
}

const cidrs = () =>
  Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).flatMap(({ family, cidr }) => (family === 'IPv4' && cidr ? [{ name, cidr }] : [])),
  )

function siteOf({ networks, site, http }: Config, { records, loaders }: LocalGate): DhcpSite {
  const own = cidrs().map(({ name, cidr }) => ownAddressOf(cidr, name))
  return makeSite({
    networks,
    records: records.current(),
    site,
    addressOn: ({ subnet }) => own.find(({ address }) => contains(subnet, address))?.address,
    httpBaseOf: (address: Ipv4) => http.url ?? `http://${address}${http.port === 80 ? '' : `:${http.port}`}`,
    hasLoader: (file) => loaders.find(file) !== undefined,
  })
}

/** File name → text. */
async function renderFiles(config: Config, target: Target, folder: string): Promise<Record<string, string>> {
  const gate = await createLocalGate(config)
  try {
    const site = siteOf(config, gate)
    if (target === 'dhcpd') return { 'dhcpd.conf': renderDhcpd(site) }
    if (target === 'kea') return { 'kea-dhcp4.conf': renderKea(site) }
    const texts = composeHostFiles(site, gate.records.current(), await readHostFiles(config.dnsmasq))
    const conf = renderDnsmasq(site, { dhcphosts: [join(folder, 'dhcphosts')], hosts: [join(folder, 'hosts')], servers: config.dnsmasq.servers })
    return { 'dnsmasq.conf': conf, hosts: texts.hosts, dhcphosts: texts.dhcphosts }
  } finally {
    gate.close()
  }
}

async function renderNodes(context: Context, file: string, options: Render): Promise<void> {
  const yaml = readYaml(await readText(file), file)
  if ('mistakes' in yaml) throw new MistakesError(file, yaml.mistakes)
  const checked = checkValue(inventorySchema, yaml.value, (path) => ({ file, line: yaml.lineOf(path), path: formatPath(path) }))
  if ('mistakes' in checked) throw new MistakesError(file, checked.mistakes)
  const wrong = lintInventory(checked.value)
  if (wrong.length) throw new MistakesError(file, wrong)
  const folder = resolve(options.out ?? 'conf')
  await putFiles(context, { ...renderInventory(checked.value, folder) }, folder, options)
}

async function render(context: Context, options: Render): Promise<void> {
  const folder = resolve(options.out ?? join(context.load().config.state, 'dnsmasq'))
  await putFiles(context, await renderFiles(context.load().config, options.for ?? 'dnsmasq', folder), folder, options)
}

/** Writes them into --out, or prints them. */
async function putFiles(context: Context, files: Record<string, string>, folder: string, { out, dryRun = false }: Render): Promise<void> {
  if (out !== undefined && !dryRun) {
    await mkdir(folder, { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeAtomic(join(folder, name), text, 0o644)
  }
  if (context.json) return sayJson({ folder: out === undefined ? null : folder, dryRun, files })
  for (const [name, text] of Object.entries(files)) {
    if (out !== undefined) say(`${join(folder, name)}${dryRun ? ' (--dry-run: not written)' : ''}`)
    else say(`${Object.keys(files).length > 1 ? `# ---- ${name}\n` : ''}${text.trimEnd()}`)
  }
}

async function check(context: Context, conf: string | undefined): Promise<void> {
  const { config } = context.load()
  const read = conf === undefined ? undefined : parseConf(await readText(conf))
  const files = await readHostFiles(read ?? config.dnsmasq)
  const { findings } = joinHostFiles(files, read ? [] : config.networks)
  const left = (read?.left ?? []).map(
    ({ line, why }): Finding => ({ severity: 'warning', code: 'conf-left', message: why, ...(conf !== undefined && { file: conf }), line }),
  )
  tellFindings(context, [...files.failures, ...left, ...findings], conf ?? 'host files')
}

function tellFindings(context: Context, findings: readonly Finding[], title: string): void {
  const errors = findings.filter(({ severity }) => severity === 'error').length
  if (errors) process.exitCode = exitCodes.invalid
  if (context.json) return sayJson({ errors, findings })
  for (const finding of findings) say(formatFinding(finding))
  say(`${title}: ${errors ? `${errors} error${errors > 1 ? 's' : ''}` : 'good'}`)
}

async function importFrom(context: Context, path: string, { out, dryRun = false }: Render): Promise<void> {
  const imported = importConf(
    parseConf(await readText(path)),
    cidrs().map(({ name, cidr }) => ownAddressOf(cidr, name)),
  )
  const written = out === undefined ? [] : await putImported(imported, out, dryRun)
  if (context.json) return sayJson({ ...imported, dryRun: dryRun || out === undefined })
  say(imported.yaml.trimEnd())
  if (imported.dhcphosts) say(`\n# dhcphosts\n${imported.dhcphosts.trimEnd()}`)
  for (const note of imported.notes) say(`# note: ${note}`)
  for (const { line, text, why } of imported.settled) say(`# ${path}:${line}: ${text}: ${why}`)
  for (const { line, text, why } of imported.left) say(`# not taken over: ${path}:${line}: ${text}: ${why}`)
  for (const file of written) say(`# ${dryRun ? 'would be written' : 'written'}: ${file}`)
}

/** Into the folder, or beside the file that `out` names. Answers the paths. Throws ConflictError `file-exists`: what is there with other content stays. */
async function putImported({ yaml, dhcphosts }: { yaml: string; dhcphosts?: string }, out: string, isDryRun: boolean): Promise<string[]> {
  const main = /\.ya?ml$/.test(out) ? resolve(out) : resolve(out, 'bivouac.yaml')
  const files = Object.entries({ [main]: yaml, ...(dhcphosts && { [join(dirname(main), 'dhcphosts')]: dhcphosts }) })
  for (const [file, text] of files) {
    const there = await readFile(file, 'utf8').catch(() => text)
    if (there !== text)
      throw new ConflictError(
        'file-exists',
        `${file} is there already, with other content: name another place with --out, or take what is printed without it`,
      )
  }
  if (!isDryRun) await mkdir(dirname(main), { recursive: true })
  if (!isDryRun) for (const [file, text] of files) await writeAtomic(file, text, 0o644)
  return files.map(([file]) => file)
}

type ReloadOptions = { readonly pidFile?: string; readonly container?: string; readonly conf?: string; readonly dryRun?: boolean }

async function reloadForeign(context: Context, { pidFile, container, conf = '/etc/dnsmasq.conf', dryRun = false }: ReloadOptions): Promise<void> {
  const { config } = context.load()
  const read = parseConf(await readText(conf))
  const files = await readHostFiles(read)
  const { findings } = joinHostFiles(files)
  const found = await findProcess({ ...(pidFile !== undefined && { pidFile }), ...(container !== undefined && { container }) })
  const report = await reloadProcess({ pid: found.pid, conf, program: config.dnsmasq.program, files: files.dhcphosts, isDryRun: dryRun })
  if (context.json) return sayJson({ pid: found.pid, ...report, dryRun, findings })
  for (const finding of findings) say(formatFinding(finding))
  say(`process ${found.pid}: ${report.text}${dryRun ? ' (--dry-run: nothing is sent)' : ''}`)
}

type Reloaded = { readonly counts: Record<string, number>; readonly problems: readonly Finding[] }

async function reload(context: Context, isDryRun: boolean): Promise<void> {
  const { config } = context.load()
  const gate = await createLocalGate(config)
  gate.close()
  const found = gate.records.problems()
  if (isDryRun) return tellFindings(context, found, 'records and host files (--dry-run: the server is not asked)')
  const since = Date.now()
  const { counts, problems } = await context.api().post<Reloaded>('/api/v1/reload')
  const events = await context.api().get<BootEvent[]>(`/api/v1/events?since=${since - 1}&kinds=record-good,record-bad&limit=100`)
  const engine = events
    .filter(({ detail }) => detail?.file === 'dnsmasq')
    .map(({ detail }) => ({ action: detail?.action, changed: detail?.changed, reason: detail?.reason }))
  if (context.json) return sayJson({ counts, problems, engine })
  for (const finding of problems) say(formatFinding(finding))
  for (const { action, changed, reason } of engine) say(`dnsmasq: ${action} (${changed}): ${reason}`)
  say(
    `read again: ${counts.stations} stations, ${counts.profiles} profiles, ${counts.releases} releases; ${problems.length} problem${problems.length === 1 ? '' : 's'}`,
  )
}
