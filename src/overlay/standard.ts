// What Bivouac puts into a composed overlay because Alpine's init does not once there is one: services, the network, ssh keys, the report.
// Called by composer when all layers are laid. What a layer brings or takes away is never overruled.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InputError } from '../boot/error.ts'
import type { Station } from '../boot/record.ts'
import { addService, type Laid } from './lay.ts'
import { bytesOf, type Member, put } from './member.ts'

export type StandardAsk = {
  readonly station?: Station
  /** Lines of the depot's `sshkeys.pub`, unless the profile says `sshKeys: false`. */
  readonly sshKeys: readonly string[]
  /** Public keys of private repositories: file name → bytes. */
  readonly keys: ReadonlyMap<string, Uint8Array>
  readonly hasReport: boolean
  readonly secretOf: (name: string) => Uint8Array
}

/** What Alpine's init starts by itself when there is no overlay (mkinitfs, initramfs-init), less firstboot and tiny-cloud, and networking, which it lacks. */
const standardServices: readonly (readonly [level: string, services: readonly string[]])[] = [
  ['sysinit', ['devfs', 'dmesg', 'mdev', 'hwdrivers', 'modloop']],
  ['boot', ['modules', 'sysctl', 'hostname', 'bootmisc', 'syslog']],
  ['shutdown', ['mount-ro', 'killprocs', 'savecache']],
]

/** Services that look after the network themselves. */
const networkServices = ['networking', 'dhcpcd', 'networkmanager', 'connman', 'iwd', 'wpa_supplicant']
const sshServers = ['openssh', 'openssh-server', 'openssh-server-pam', 'dropbear', 'tinyssh']

const scriptsFolder = join(import.meta.dirname, '../../scripts-templates')
const readScript = (name: string): Uint8Array => readFileSync(join(scriptsFolder, name))
const reportScript = readScript('report.sh')
const interfacesScript = readScript('interfaces.sh')

/** Puts in what is missing. Throws InputError or MissingError for a secret that is not there. */
export function addStandard(laid: Laid, ask: StandardAsk): void {
  if (laid.defaultServices !== false) addServices(laid)
  addHostname(laid, ask.station)
  addSshKeys(laid, ask.sshKeys)
  addRoot(laid, ask)
  if (ask.hasReport) addLocal(laid, 'zz-bivouac-report', { kind: 'file', body: reportScript, mode: 0o755 })
  for (const [name, body] of ask.keys) own(laid, `etc/apk/keys/${name}`, { kind: 'file', body })
  addWorld(laid)
}

/** Alpine's init adds alpine-base in any case; written down, a station can tell whether it is there. */
function addWorld(laid: Laid): void {
  const { world, removedPackages } = laid
  if (!world.has('alpine-base') && !removedPackages.has('alpine-base')) world.set('alpine-base', 'alpine-base')
  const lines = [...world.values()].sort(byBytes).map((line) => `${line}\n`)
  own(laid, 'etc/apk/world', { kind: 'file', body: bytesOf(lines.join('')) })
}

const byBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other))

const own = ({ tree }: Laid, path: string, member: Member): void => put(tree, path, { ...member, origin: 'bivouac' })

/** Whoever brings `sysinit/devfs` brings the whole set, as lbu's archives do, and what is not in it was taken out on purpose. */
function addServices(laid: Laid): void {
  if (!laid.tree.has('etc/runlevels/sysinit/devfs') && !laid.tree.has('etc/.default_boot_services')) {
    for (const [level, services] of standardServices) for (const service of services) startUnlessRemoved(laid, level, service)
    if (!networkServices.some((service) => runs(laid, service))) startUnlessRemoved(laid, 'boot', 'networking')
  }
  if (runs(laid, 'networking') && !laid.tree.has('etc/network/interfaces')) {
    own(laid, 'etc/init.d/bivouac-interfaces', { kind: 'file', body: interfacesScript, mode: 0o755 })
    startUnlessRemoved(laid, 'boot', 'bivouac-interfaces')
  }
}

const runs = ({ tree }: Laid, service: string): boolean =>
  ['sysinit', 'boot', 'default'].some((level) => tree.has(`etc/runlevels/${level}/${service}`))

function startUnlessRemoved(laid: Laid, level: string, service: string): void {
  if (!laid.removedServices.has(`${level}/${service}`) && !runs(laid, service)) addService(laid, level, service, 'bivouac')
}

/** Alpine takes its name from nowhere else. */
function addHostname(laid: Laid, station: Station | undefined): void {
  if (laid.tree.has('etc/hostname')) return
  const name = station?.hostname ?? station?.name
  if (name !== undefined && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(name))
    own(laid, 'etc/hostname', { kind: 'file', body: bytesOf(`${name}\n`) })
}

/** Beside an overlay `ssh_key=` does nothing: the keys go in, with a server that takes them. */
function addSshKeys(laid: Laid, sshKeys: readonly string[]): void {
  for (const key of sshKeys) if (!laid.sshKeys.includes(key)) laid.sshKeys.push(key)
  if (!laid.sshKeys.length) return
  const { tree, world, removedPackages } = laid
  put(tree, 'root', { kind: 'directory', mode: 0o700, origin: tree.get('root')?.origin ?? 'bivouac' })
  put(tree, 'root/.ssh', { kind: 'directory', mode: 0o700, origin: tree.get('root/.ssh')?.origin ?? 'bivouac' })
  own(laid, 'root/.ssh/authorized_keys', { kind: 'file', body: bytesOf(laid.sshKeys.map((key) => `${key}\n`).join('')), mode: 0o600 })
  if (sshServers.some((name) => world.has(name)) || removedPackages.has('openssh')) return
  world.set('openssh', 'openssh')
  startUnlessRemoved(laid, 'default', 'sshd')
}

/**
 * Root's password. Nobody said: no password fits when there are ssh keys, and it is open, as in Alpine, when there are none.
 * Lore: sshd without PAM, which is Alpine's, refuses keys too for an account that is locked with `!` (`passwd -l`); `*` only has no password.
 */
function addRoot(laid: Laid, { secretOf }: StandardAsk): void {
  const hasShadow = laid.tree.has('etc/shadow')
  const asked = laid.root ?? (hasShadow || !laid.sshKeys.length ? 'open' : 'locked')
  if (asked === 'open') return
  const isSecret = typeof asked === 'object'
  const field = asked === 'locked' ? '*' : isSecret ? new TextDecoder().decode(secretOf(asked.secret)).trim() : asked
  // ROOT is empty in a station; tests give a folder.
  const script = `#!/bin/sh\n# Root's password, as a layer says (root:). Put here by Bivouac.\nsed -i 's|^root:[^:]*:|root:${checkField(field)}:|' "$ROOT/etc/shadow"\n`
  addLocal(laid, 'bivouac-root', { kind: 'file', body: bytesOf(script), mode: 0o700, ...(isSecret && { isSecret: true as const }) })
}

/** It stands in a replacement of sed's between single quotes, and between colons in a file. */
function checkField(field: string): string {
  if (!/^[A-Za-z0-9./$=,*!]{1,512}$/.test(field))
    throw new InputError('root-hash', 'the secret for root is not a hash as in /etc/shadow: openssl passwd -6 makes one')
  return field
}

/** A script that OpenRC's `local` service runs last. */
function addLocal(laid: Laid, name: string, script: Member): void {
  own(laid, `etc/local.d/${name}.start`, script)
  startUnlessRemoved(laid, 'default', 'local')
}
