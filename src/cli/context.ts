// What every command starts from: the configuration by file, flags and environment, and the server to ask. Made once in main.
import { type Config, type LoadedConfig, loadConfig } from '../config.ts'
import { InputError } from '../boot/error.ts'
import { readLocalToken } from '../store/token.ts'
import { type ApiClient, createApiClient } from './client.ts'

export type Context = {
  /** The configuration with its lints. Throws InputError that lists every mistake. */
  readonly load: () => LoadedConfig
  /** A client of the running server: --server, else the configured HTTP port on this machine. */
  readonly api: () => ApiClient
  readonly serverUrl: () => string
  /** The server was named by --server or BIVOUAC_SERVER, so no other answer will do. */
  readonly isServerNamed: boolean
  readonly json: boolean
}

/** What stands before the command's own arguments. `keys` are configuration keys given as flags (`http.port` → `8081`). */
export type GlobalOptions = { config?: string; server?: string; token?: string; json?: boolean; keys: Record<string, string> }

export function createContext(options: GlobalOptions, env: NodeJS.ProcessEnv): Context {
  let loaded: LoadedConfig | undefined
  const load = (): LoadedConfig => {
    loaded ??= loadConfig({ ...(options.config && { file: options.config }), flags: options.keys, env })
    return loaded
  }
  const serverUrl = () => (options.server ?? env.BIVOUAC_SERVER ?? localUrl(load().config)).replace(/\/+$/, '')
  const isServerNamed = (options.server ?? env.BIVOUAC_SERVER) !== undefined
  // The server of another machine gets no token of this one.
  const localToken = () => (isServerNamed ? undefined : readLocalToken(load().config.state))
  return {
    load,
    serverUrl,
    isServerNamed,
    json: options.json === true,
    api: () => createApiClient(serverUrl(), options.token ?? env.BIVOUAC_TOKEN ?? localToken()),
  }
}

function localUrl(config: Config): string {
  const isWildcard = ['0.0.0.0', '::', ''].includes(config.http.address)
  return `http://${isWildcard ? '127.0.0.1' : config.http.address}:${config.http.port}`
}

/** Takes the configuration's keys out of the arguments, so that each command need not declare them. Throws InputError for a key without value. */
export function takeKeys(argv: readonly string[], isKey: (name: string) => boolean): { keys: Record<string, string>; rest: string[] } {
  const keys: Record<string, string> = {}
  const rest: string[] = []
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] as string
    const [, name = '', given] = /^--([A-Za-z0-9.]+)(?:=(.*))?$/s.exec(word) ?? []
    if (!isKey(name)) {
      rest.push(word)
      continue
    }
    const value = given ?? argv[++at]
    if (value === undefined) throw new InputError('flag-value', `--${name} needs a value, such as --${name}=…`)
    keys[name] = value
  }
  return { keys, rest }
}
