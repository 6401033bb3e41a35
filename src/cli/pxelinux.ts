// `bivouac pxelinux resolve` and `bivouac rescue enable|disable|list`: what pxelinux asks for, which file wins, and links to the rescue entry.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { findMac, type Mac, parseIpv4, parseMac } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { uuidSchema } from '../boot/field.ts'
import type { Config } from '../config.ts'
import { findHostMacs } from '../dnsmasq/edit.ts'
import { disableRescue, enableRescue, findPxelinuxFile, lintRescueEntry, listPxelinuxNames, listRescue } from '../dnsmasq/pxelinux.ts'
import { clearOnce, listOnce, markOnce } from '../dnsmasq/rescue-once.ts'
import { createLocalGate } from '../server/local.ts'
import type { Context } from './context.ts'
import { readPair } from './host.ts'
import { formatTable, say, sayJson, warn } from './output.ts'
import { addRescueCheck } from './rescue-check.ts'

type Resolve = { readonly mac?: string; readonly ip?: string; readonly uuid?: string; readonly root?: string; readonly option209?: string }

export function addPxelinuxCommand(program: Command, context: () => Context): void {
  program
    .command('pxelinux')
    .description('pxelinux’s configuration files')
    .command('resolve')
    .description('the names that pxelinux asks for, in its order, and the one that wins')
    .option('--mac <mac>', 'hardware address of the card that it boots from')
    .option('--ip <address>', 'the address that it gets')
    .option('--uuid <uuid>', 'its UUID as iPXE and dmidecode print it; pxelinux turns the first three fields round')
    .option('--root <folder>', 'the TFTP folder (default: the depot)')
    .option('--option209 <name>', 'configuration file that DHCP names')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac pxelinux resolve --mac 52:54:00:12:34:56 --ip 10.0.2.15\n  bivouac pxelinux resolve --uuid b8945908-d6a6-41a9-8ff4-0123456789ab --mac 52:54:00:12:34:56 --json',
    )
    .action((options: Resolve) => resolve(context(), options))
}

async function resolve(context: Context, { mac, ip, uuid, root, option209 }: Resolve): Promise<void> {
  const checked = uuid === undefined ? undefined : uuidSchema.safeParse(uuid)
  if (checked && !checked.success) throw new InputError('uuid', `"${uuid?.slice(0, 60)}" is not a UUID such as b8945908-d6a6-41a9-8ff4-0123456789ab`)
  const asker = {
    mac: mac === undefined ? undefined : parseMac(mac),
    ip: ip === undefined ? undefined : parseIpv4(ip),
    uuid: checked?.data,
    configFile: option209,
  }
  const names = listPxelinuxNames(asker)
  const found = await findPxelinuxFile(root ?? context.load().config.depot, names)
  // Our own TFTP makes the file of a card's MAC from the records where the depot has none.
  const made = root === undefined && asker.mac ? names.find((name) => name.includes('/01-')) : undefined
  const winner = names.find((name) => name === found?.name || name === made)
  if (context.json)
    return sayJson({
      names,
      winner: winner ?? null,
      isMade: winner !== undefined && winner !== found?.name,
      target: (winner === found?.name && found?.target) || null,
    })
  for (const name of names) say(`${name === winner ? '>' : ' '} ${name}${describe(name, winner, found)}`)
  if (winner === undefined) say('none of these is there: pxelinux stops')
}

function describe(name: string, winner: string | undefined, found: { readonly name: string; readonly target?: string } | undefined): string {
  if (name !== winner) return ''
  if (name !== found?.name) return '   made from the records'
  return found.target === undefined ? '' : `   -> ${found.target}`
}

type Rescue = { readonly once?: boolean; readonly hard?: boolean; readonly dryRun?: boolean }

export function addRescueCommand(program: Command, context: () => Context): void {
  const rescue = program.command('rescue').description('hosts that boot the rescue entry: pxelinux.cfg/01-<mac> linked to pxelinux.cfg/911boot')
  rescue
    .command('enable <host>')
    .description('put a host (name, address or MAC) into rescue from its next boot on')
    .option('--once', 'for one boot: a running server takes the link away when that boot has fetched it')
    .option('--hard', 'a hard link in place of a symbolic one')
    .option('-n, --dry-run', 'tell and do nothing')
    .addHelpText('after', '\nExamples:\n  bivouac rescue enable node1\n  bivouac rescue enable 52:54:00:12:34:56 --once')
    .action((host: string, options: Rescue) => enable(context(), host, options))
  rescue
    .command('disable <host>')
    .description('take a host out of rescue')
    .option('-n, --dry-run', 'tell and do nothing')
    .addHelpText('after', '\nExamples:\n  bivouac rescue disable node1\n  bivouac rescue disable 10.9.0.7 --dry-run')
    .action((host: string, options: Rescue) => disable(context(), host, options))
  rescue
    .command('list')
    .description('hosts in rescue')
    .addHelpText('after', '\nExamples:\n  bivouac rescue list\n  bivouac rescue list --json')
    .action(() => list(context()))
  addRescueCheck(rescue, context)
}

const folderOf = ({ depot }: Config): string => join(depot, 'pxelinux.cfg')

/** The MACs of a station's record, of a line of the host files, or the MAC itself. Throws MissingError. */
async function findMacs(config: Config, text: string): Promise<readonly Mac[]> {
  const mac = findMac(text)
  const { records, close } = await createLocalGate(config)
  close()
  const { stations, stationByMac } = records.current()
  const station = mac ? stationByMac.get(mac) : stations.find(({ name, address }) => name === text || address === text)
  if (station) return station.macs
  if (mac) return [mac]
  const [hosts, dhcphosts] = [config.dnsmasq.hosts[0], config.dnsmasq.dhcphosts[0]]
  const macs = hosts !== undefined && dhcphosts !== undefined ? findHostMacs(await readPair({ hosts, dhcphosts }), text) : []
  if (macs.length) return macs.map(parseMac)
  throw new MissingError('station', `"${text.slice(0, 64)}" is no MAC address, and no station or host of that name or address is known`)
}

async function enable(context: Context, host: string, { once = false, hard = false, dryRun = false }: Rescue): Promise<void> {
  const { config } = context.load()
  const macs = await findMacs(config, host)
  const folder = folderOf(config)
  if (!dryRun) {
    await mkdir(folder, { recursive: true })
    for (const mac of macs) {
      await enableRescue(folder, mac, hard ? 'hard' : 'symbolic')
      if (once) await markOnce(config.state, mac)
      else await clearOnce(config.state, mac)
    }
  }
  for (const lint of await lintRescueEntry(folder)) warn(`warning: ${lint}`)
  tell(context, macs, `boots 911boot${once ? ' once' : ' until it is disabled'}`, dryRun)
}

async function disable(context: Context, host: string, { dryRun = false }: Rescue): Promise<void> {
  const { config } = context.load()
  const macs = await findMacs(config, host)
  let gone = 0
  if (!dryRun)
    for (const mac of macs) {
      if (await disableRescue(folderOf(config), mac)) gone++
      await clearOnce(config.state, mac)
    }
  tell(context, macs, gone || dryRun ? 'is out of rescue' : 'was not in rescue', dryRun)
}

function tell(context: Context, macs: readonly Mac[], what: string, isDryRun: boolean): void {
  if (context.json) return sayJson({ macs, dryRun: isDryRun })
  for (const mac of macs) say(`${mac} ${what}${isDryRun ? ' (--dry-run: nothing is done)' : ''}`)
}

async function list(context: Context): Promise<void> {
  const { config } = context.load()
  const once = new Set(await listOnce(config.state))
  const links = await listRescue(folderOf(config), (mac) => once.has(mac))
  const { records, close } = await createLocalGate(config)
  close()
  const named = links.map((link) => ({ ...link, name: records.current().stationByMac.get(link.mac)?.name ?? null }))
  if (context.json) return sayJson(named)
  if (!named.length) return say('no host is in rescue')
  say(
    formatTable(
      ['mac', 'name', 'link', 'until'],
      named.map(({ mac, name, kind, isOnce }) => [mac, name ?? '-', kind, isOnce ? 'its next boot' : 'disabled']),
    ),
  )
}
