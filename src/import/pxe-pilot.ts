// PXE Pilot's file and tree → stations with their power, adapters, profiles, and `pilot.file`. Used by `bivouac import pxe-pilot`. It reads only.
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { Ipv4 } from '../boot/address.ts'
import { readYaml } from '../store/yaml.ts'
import { type Configuration, listConfigurations, planLinks, readDeployed } from '../pilot/tree.ts'
import { parsePilotConfig, type PilotAdapter, type PilotConfig, type PilotHost } from '../pilot/config.ts'
import { type Patch, patchYaml } from '../store/yaml-edit.ts'
import { createDraft, type Draft, makeName, type Places, type WishedSecret } from './draft.ts'
import { readText } from './read.ts'
import { addPxelinuxProfile, copyTree } from './tree.ts'

/** Everything that the file says. Throws MissingError, InputError (MistakesError) for a file that PXE Pilot would refuse too. */
export async function readPxePilot(path: string, places: Places): Promise<Draft> {
  const file = resolve(path)
  const text = await readText(file)
  const config = placeConfig(parsePilotConfig(text, file), file)
  const draft = createDraft()
  listUnknownKeys(draft, text, file)
  const configurations = await listConfigurations(config)
  const profiles = await addProfiles(draft, configurations)
  for (const host of config.hosts) await addHost(draft, config, host, configurations, profiles, file)
  const adapters = config.adapters.map((adapter) => adaptAdapter(draft, adapter, file))
  draft.settings = {
    pilot: { file: shorten(places, await addTree(draft, config, configurations, text, file, places)) },
    ...(adapters.length && { power: { adapters } }),
  }
  if (config.discoveryCommand ?? config.arpCommand)
    draft.notes.push(`${file}: discovery and arp go on in PXE Pilot's interface, which Bivouac serves from the file`)
  return draft
}

/** Paths that are not absolute are meant from the file's folder. */
const placeConfig = (config: PilotConfig, file: string): PilotConfig => ({
  ...config,
  tftpRoot: resolve(dirname(file), config.tftpRoot),
  directory: resolve(dirname(file), config.directory),
})

/** A path as it stands best in bivouac.yaml. */
const shorten = ({ folder }: Places, path: string): string => {
  const inner = relative(folder, path)
  return inner.startsWith('..') ? path : inner
}

const known: Readonly<Record<string, readonly string[]>> = {
  '': ['hosts', 'tftp', 'configuration', 'server', 'host_management_adapters', 'discovery', 'arp', 'subnets'],
  'hosts[]': ['name', 'mac_addresses', 'ipmi', 'management'],
  'hosts[].ipmi': ['mac_address', 'hostname', 'username', 'password', 'interface', 'subnet'],
  'hosts[].management': ['mac_address', 'ip_address', 'adapter', 'subnet', 'vars'],
  tftp: ['root'],
  configuration: ['directory', 'bootloaders'],
  server: ['port'],
  'host_management_adapters[]': ['name', 'vars', 'power_status', 'power_on', 'power_off', 'power_reset'],
}

/** Keys that PXE Pilot passes over: they stay in its file, and are told. */
function listUnknownKeys(draft: Draft, text: string, file: string): void {
  const yaml = readYaml(text, file)
  if ('mistakes' in yaml) return
  const walk = (value: unknown, shape: string, path: readonly PropertyKey[]): void => {
    if (Array.isArray(value)) return value.forEach((inner, at) => void walk(inner, `${shape}[]`, [...path, at]))
    const keys = known[shape]
    if (typeof value !== 'object' || value === null || !keys) return
    for (const [key, inner] of Object.entries(value)) {
      if (keys.includes(key)) walk(inner, shape ? `${shape}.${key}` : key, [...path, key])
      else {
        const line = yaml.lineOf([...path, key])
        draft.left.push({
          file,
          ...(line !== undefined && { line }),
          text: key.slice(0, 80),
          why: 'PXE Pilot does not know this key either; it stays in the file',
        })
      }
    }
  }
  walk(yaml.value, '', [])
}

/** A configuration's name → the profile's. The first one counts where two boot loaders have the name, as in PXE Pilot. */
async function addProfiles(draft: Draft, configurations: readonly Configuration[]): Promise<Map<string, string>> {
  const made = new Map<string, string>()
  for (const { name, path, bootloader } of configurations) {
    if (made.has(name)) {
      draft.notes.push(`configuration ${name} of ${bootloader.name} has the name of another one: PXE Pilot takes the first, and so does the profile`)
      continue
    }
    if (bootloader.config_path.includes('grub')) {
      draft.left.push({ file: path, text: name, why: 'a configuration of GRUB: served as it is, and no profile is made of it' })
      continue
    }
    if (makeName(name) !== name) {
      draft.left.push({
        file: path,
        text: name.slice(0, 80),
        why: 'its name can be no name of a profile; it stays a configuration of PXE Pilot only',
      })
      continue
    }
    if (await addPxelinuxProfile(draft, path, name)) made.set(name, name)
  }
  return made
}

async function addHost(
  draft: Draft,
  config: PilotConfig,
  host: PilotHost,
  configurations: readonly Configuration[],
  profiles: ReadonlyMap<string, string>,
  file: string,
): Promise<void> {
  const { configuration, odd } = await readDeployed(config, host, configurations).catch(() => ({ configuration: undefined, odd: 'unreadable' }))
  if (odd)
    draft.left.push({
      file: join(config.tftpRoot, 'pxelinux.cfg'),
      text: host.name,
      why: `its link is a ${odd}: which configuration it has is not known`,
    })
  const profile = configuration && profiles.get(configuration.name)
  const secrets: WishedSecret[] = []
  const power = powerOf(draft, host, file, secrets)
  draft.stations.push({
    name: host.name,
    macs: [...new Set(host.mac_addresses)].slice(0, 16),
    value: { ...(profile !== undefined && { profile }), ...(power && { power }) },
    secrets,
    source: file,
  })
}

function powerOf(draft: Draft, { name, ipmi, management }: PilotHost, file: string, secrets: WishedSecret[]): Patch | undefined {
  const leave = (text: string, why: string): undefined => void draft.left.push({ file, text: `${name}: ${text}`, why })
  if (ipmi) {
    const { hostname, mac_address: mac, username, password, interface: over, subnet } = ipmi
    if (!hostname && !mac) return leave('ipmi', 'says neither hostname nor mac_address: the controller cannot be found')
    if (!password) return leave('ipmi', 'says no password; write one into a file and name it by power.password.file')
    if (over && over !== 'lan' && over !== 'lanplus') return leave(`interface ${over}`, 'only lan and lanplus reach a controller over the network')
    if (subnet) noteSubnet(draft, subnet)
    secrets.push({ at: ['power', 'password'], text: password })
    // Without -I ipmitool speaks lan.
    return {
      kind: 'ipmi',
      ...(hostname && { address: hostname }),
      ...(mac && { mac }),
      ...(username && { user: username }),
      interface: over ?? 'lan',
    }
  }
  if (!management) return undefined
  const { adapter, ip_address: address, mac_address: mac, vars, subnet } = management
  if (subnet) noteSubnet(draft, subnet)
  const plain = (vars ?? []).filter((one) => !isSecretName(one.name))
  for (const one of (vars ?? []).filter((other) => isSecretName(other.name))) secrets.push({ at: ['power', 'secrets', one.name], text: one.value })
  return {
    kind: 'command',
    adapter: makeName(adapter, undefined, 'adapter'),
    ...(address && { address: address as Ipv4 }),
    ...(mac && { mac }),
    ...(plain.length && { variables: Object.fromEntries(plain.map((one) => [one.name, one.value])) }),
  }
}

function noteSubnet(draft: Draft, subnet: string): void {
  const note = `controllers that are known by their MAC are found by "bivouac power refresh ${subnet}"`
  if (!draft.notes.includes(note)) draft.notes.push(note)
}

const isSecretName = (name: string): boolean => /pass|pw$|pwd|secret|token|key|cred/i.test(name)

function adaptAdapter(
  draft: Draft,
  { name, vars, power_status: status, power_on: on, power_off: off, power_reset: reset }: PilotAdapter,
  file: string,
): Patch {
  for (const one of vars ?? [])
    if (isSecretName(one.name) && !one.value.includes('{{'))
      draft.notes.push(`${file}: adapter ${name}: the variable ${one.name} looks like a secret and goes into bivouac.yaml: chmod 600 it`)
  return {
    name: makeName(name, undefined, 'adapter'),
    ...(vars?.length && { variables: Object.fromEntries(vars.map((one) => [one.name, one.value])) }),
    ...(status && { status: { cmd: status.cmd, on: status.pattern_on, off: status.pattern_off } }),
    ...(on && { on: { cmd: on.cmd } }),
    ...(off && { off: { cmd: off.cmd } }),
    ...(reset && { cycle: { cmd: reset.cmd } }),
  }
}

/** Where PXE Pilot's file is from now on. With `copies` the tree goes into the depot, and a copy of the file says so. */
async function addTree(
  draft: Draft,
  config: PilotConfig,
  configurations: readonly Configuration[],
  text: string,
  file: string,
  places: Places,
): Promise<string> {
  const isWithin = !relative(places.depot, config.tftpRoot).startsWith('..')
  if (!places.copies || isWithin) {
    if (!isWithin)
      draft.notes.push(
        `the tree ${config.tftpRoot} stays where it is: another TFTP server must serve it. --copy takes it into the depot, which Bivouac serves`,
      )
    return file
  }
  const inner = relative(config.tftpRoot, config.directory)
  if (inner.startsWith('..')) {
    draft.notes.push(`the configurations (${config.directory}) lie outside of tftp.root: nothing is copied, the file stays as it is`)
    return file
  }
  const links = config.hosts.flatMap((host) => planLinks(config, host, { path: '' } as Configuration).map(({ path }) => path))
  const mine = new Set(links.map((path) => relative(config.tftpRoot, path)))
  await copyTree(draft, config.tftpRoot, places, (path) => mine.has(path) || join(config.tftpRoot, path) === file)
  const moved = { ...config, tftpRoot: places.depot, directory: join(places.depot, inner) }
  for (const host of config.hosts) {
    const { configuration } = await readDeployed(config, host, configurations).catch(() => ({ configuration: undefined }))
    if (!configuration) continue
    const path = join(moved.directory, ...(config.bootloaders.length ? [configuration.bootloader.name] : []), configuration.name)
    for (const change of planLinks(moved, host, { ...configuration, path }))
      if ('target' in change) draft.files.push({ to: change.path, target: change.target })
  }
  // Beside bivouac.yaml, and never over the site's own file.
  const beside = join(places.folder, basename(file))
  const to = beside === file ? join(places.folder, `bivouac-${basename(file)}`) : beside
  // It holds passwords of controllers.
  const changed = patchYaml(text, { tftp: { root: moved.tftpRoot }, configuration: { directory: moved.directory } }, file)
  draft.files.push({ to, text: changed, mode: 0o600 })
  return to
}
