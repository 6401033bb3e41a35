// The configuration: one YAML file, every key also by flag and environment, all mistakes told at once. Used by the command line; server.ts gets its result.
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { InputError, type Place } from './boot/error.ts'
import type { Lint } from './boot/network.ts'
import { configKeys, findKey } from './config/key.ts'
import { type Layered, layerConfig } from './config/layer.ts'
import { lintConfig } from './config/lint.ts'
import { type Config as SettledConfig, configSchema, type RawConfig } from './config/schema.ts'
import { checkValue, type Finding, MistakesError } from './store/mistake.ts'

export type Config = SettledConfig

/** Is this a key of the configuration, as `http.port`? */
export const isConfigKey = (name: string): boolean => findKey(name) !== undefined

export type LoadedConfig = {
  readonly config: Config
  /** The file that was read, if any. */
  readonly file?: string
  /** Warnings. Errors are thrown. */
  readonly lints: readonly Finding[]
  /** Every key with its value and where that comes from, for `config show`. */
  readonly values: readonly { readonly key: string; readonly value: unknown; readonly source: string }[]
  /** Where a key's value was said. */
  readonly placeOf: (path: readonly PropertyKey[]) => Place
}

export type ConfigRequest = {
  /** Absent: the variable BIVOUAC_CONFIG, else `bivouac.yaml` in the working folder if it is there. */
  readonly file?: string
  /** Keys as flags give them: `http.port` → `8081`. */
  readonly flags: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
}

export const defaultFile = 'bivouac.yaml'

/** Reads the configuration. Throws InputError (MistakesError) that lists every mistake with its place and what is allowed. */
export function loadConfig({ file: given, flags, env, cwd = process.cwd() }: ConfigRequest): LoadedConfig {
  const file = readConfigFile(given ?? env.BIVOUAC_CONFIG, cwd)
  const title = file?.name ?? 'the configuration'
  const layered = layerConfig(file, flags, env)
  if (layered.mistakes.length) throw new MistakesError(title, layered.mistakes)
  const checked = checkValue(configSchema, layered.value, layered.placeOf)
  if ('mistakes' in checked) throw new MistakesError(title, checked.mistakes)
  const config = makeConfig(checked.value, (key) => (isFromFile(layered, key) && file ? dirname(file.path) : cwd))
  const slips = layered.warnings.map((mistake): Finding => ({ ...mistake, severity: 'warning' }))
  const lints = [...slips, ...lintConfig(config).map((lint) => placeLint(lint, layered))]
  const errors = lints.filter(({ severity }) => severity === 'error')
  if (errors.length) throw new MistakesError(title, errors)
  return { config, ...(file && { file: file.name }), lints, values: listValues(config, layered), placeOf: layered.placeOf }
}

function readConfigFile(given: string | undefined, cwd: string): { name: string; path: string; text: string } | undefined {
  const name = given ?? defaultFile
  const path = resolve(cwd, name)
  try {
    return { name, path, text: readFileSync(path, 'utf8') }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (given === undefined && code === 'ENOENT') return undefined
    throw new InputError('config-file', code === 'ENOENT' ? 'there is no such file' : `cannot be read: ${message}`, { file: name }, { cause: error })
  }
}

/** `networks[0].pool[1]` → the parts of the path. */
const parsePath = (path: string): PropertyKey[] =>
  (path.match(/\[\d+\]|[^.[\]]+/g) ?? []).map((part) => (part.startsWith('[') ? Number(part.slice(1, -1)) : part))

const placeLint = ({ code, message, severity, path }: Lint, { placeOf }: Layered): Finding => ({
  code,
  message,
  severity,
  ...placeOf(parsePath(path)),
})

const isFromFile = ({ sourceOf }: Layered, name: string): boolean => {
  const key = configKeys.find((one) => one.name === name)
  return key !== undefined && !/^(default$|flag |environment )/.test(sourceOf(key))
}

function makeConfig(raw: RawConfig, baseOf: (key: string) => string): Config {
  const { http, tftp, networks, loaders, quirks, unknown, withoutOverlay, foreignIpxe } = raw
  return {
    depot: resolve(baseOf('depot'), raw.depot),
    state: resolve(baseOf('state'), raw.state),
    http: { address: http.address, port: http.port, ...(http.url !== undefined && { url: http.url }) },
    tftp: { ...tftp, port: tftp.port ?? (networks.length ? 69 : 6969) },
    packages: {
      ...without(raw.packages),
      root: raw.packages.root ? resolve(baseOf('packages.root'), raw.packages.root) : resolve(baseOf('depot'), raw.depot, 'apk'),
    },
    mirror: { ...without(raw.mirror), ...(raw.mirror.credentials && { credentials: resolve(baseOf('mirror.credentials'), raw.mirror.credentials) }) },
    overlays: raw.overlays,
    dhcp: raw.dhcp,
    power: raw.power,
    pilot: { ...without(raw.pilot), ...(raw.pilot.file && { file: resolve(baseOf('pilot.file'), raw.pilot.file) }) },
    dnsmasq: {
      ...raw.dnsmasq,
      hosts: raw.dnsmasq.hosts.map((path) => resolve(baseOf('dnsmasq.hosts'), path)),
      dhcphosts: raw.dnsmasq.dhcphosts.map((path) => resolve(baseOf('dnsmasq.dhcphosts'), path)),
    },
    cacheMegabytes: raw.cacheMegabytes,
    loaderScript: raw.loaderScript,
    networks,
    site: { defaultProfile: raw.default, unknown, withoutOverlay, foreignIpxe, loaders, quirks },
  }
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Without the keys whose value is undefined. */
const without = <T extends object>(table: T): Present<T> =>
  Object.fromEntries(Object.entries(table).filter(([, value]) => value !== undefined)) as Present<T>

/** Keys that are shown as the absolute paths that they mean. */
const folderKeys: ReadonlySet<string> = new Set([
  'depot',
  'state',
  'packages.root',
  'mirror.credentials',
  'dnsmasq.hosts',
  'dnsmasq.dhcphosts',
  'pilot.file',
])

/** What was said, where something was said; else what is in force. */
function listValues(config: Config, { value, sourceOf }: Layered): LoadedConfig['values'] {
  const { site, ...rest } = config
  const inForce: Record<string, unknown> = { ...rest, default: site.defaultProfile, ...site, loaders: Object.fromEntries(site.loaders) }
  const at = (tree: unknown, path: readonly string[]) =>
    path.reduce<unknown>((inner, part) => (inner as Record<string, unknown> | undefined)?.[part], tree)
  return configKeys.map((key) => {
    const said = folderKeys.has(key.name) ? undefined : at(value, key.path)
    return { key: key.name, value: said ?? at(inForce, key.path), source: sourceOf(key) }
  })
}
