// Redfish over HTTP(S): power state, reset, next boot device of one system (DMTF DSP0266, ComputerSystem). Asked by undici, Basic credentials, nothing kept.
import { Agent, request } from 'undici'
import { OutsideError } from '../boot/error.ts'
import type { BootDevice, PowerAction, PowerState, PowerSwitch } from './adapter.ts'

export type RedfishOptions = {
  readonly url: string
  readonly user: string
  readonly password: string
  readonly system?: string
  readonly verifyTls: boolean
  readonly timeoutMs?: number
}

type Json = { readonly [key: string]: unknown }

const bodyBytesMax = 1 << 20
const targets: Readonly<Record<BootDevice, string>> = { network: 'Pxe', disk: 'Hdd' }

/** The system behind that URL. */
export function createRedfish(options: RedfishOptions): PowerSwitch {
  const { url, user, password, verifyTls, timeoutMs = 20_000 } = options
  const base = url.replace(/\/+$/, '')
  const headers = { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`, accept: 'application/json' }
  let found: string | undefined

  async function call(method: 'GET' | 'POST' | 'PATCH', path: string, body?: object, signal?: AbortSignal): Promise<Json> {
    const agent = new Agent({ connect: { rejectUnauthorized: verifyTls, timeout: 5000 }, maxResponseSize: bodyBytesMax })
    try {
      const limit = AbortSignal.timeout(timeoutMs)
      const response = await request(base + path, {
        method,
        dispatcher: agent,
        headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      })
      const text = await response.body.text()
      if (response.statusCode >= 300) throw refused(response.statusCode, text, path)
      return text ? (JSON.parse(text) as Json) : {}
    } catch (error) {
      throw error instanceof OutsideError ? error : explain(error as Error, base)
    } finally {
      await agent.close().catch(() => undefined)
    }
  }

  async function systemPath(signal?: AbortSignal): Promise<string> {
    if (options.system !== undefined) return `/redfish/v1/Systems/${encodeURIComponent(options.system)}`
    if (found) return found
    const { Members } = await call('GET', '/redfish/v1/Systems', undefined, signal)
    const paths = (Array.isArray(Members) ? (Members as Json[]) : []).map((member) => member['@odata.id']).filter(isSystemPath)
    const [only] = paths
    if (only === undefined || paths.length > 1)
      throw new OutsideError('power-system', `${base} has ${paths.length} systems: name one with the key system`, false)
    found = only
    return only
  }

  return {
    status: async (signal) => readState((await call('GET', await systemPath(signal), undefined, signal)).PowerState),
    async act(action, signal) {
      const path = await systemPath(signal)
      const system = await call('GET', path, undefined, signal)
      const reset = (system.Actions as Json | undefined)?.['#ComputerSystem.Reset'] as Json | undefined
      const allowed = reset?.['ResetType@Redfish.AllowableValues']
      const target = typeof reset?.target === 'string' && isSystemPath(reset.target) ? reset.target : `${path}/Actions/ComputerSystem.Reset`
      await call('POST', target, { ResetType: chooseReset(action, readState(system.PowerState), Array.isArray(allowed) ? allowed : []) }, signal)
    },
    bootFrom: async (device, signal) => {
      const Boot = { BootSourceOverrideEnabled: 'Once', BootSourceOverrideTarget: targets[device] }
      await call('PATCH', await systemPath(signal), { Boot }, signal)
    },
  }
}

const isSystemPath = (path: unknown): path is string =>
  typeof path === 'string' && /^\/redfish\/v1\/[A-Za-z0-9._~%/:-]+$/.test(path) && !path.includes('..')

/** The first of the wanted ways that the system allows; a system that is off is switched on where a reset was meant. */
function chooseReset(action: PowerAction, state: PowerState, allowed: readonly unknown[]): string {
  const wanted: Readonly<Record<PowerAction, readonly string[]>> = {
    on: ['On', 'ForceOn'],
    off: ['ForceOff', 'GracefulShutdown'],
    cycle: state === 'off' ? ['On', 'ForceOn'] : ['ForceRestart', 'PowerCycle', 'GracefulRestart'],
  }
  const ways = wanted[action]
  return ways.find((way) => allowed.includes(way)) ?? (ways[0] as string)
}

const readState = (state: unknown): PowerState => {
  const word = String(state).toLowerCase()
  if (word === 'on' || word === 'poweringoff') return 'on'
  return word === 'off' || word === 'poweringon' ? 'off' : 'unknown'
}

function refused(status: number, text: string, path: string): OutsideError {
  if (status === 401 || status === 403) return new OutsideError('power-login', `the controller refuses user and password (${status})`, false)
  const said = /"Message(?:Extended)?"\s*:\s*"([^"]{1,160})/.exec(text)?.[1]
  return new OutsideError('power-failed', `the controller answers ${status} to ${path}${said ? `: ${said}` : ''}`, status >= 500)
}

function explain(error: Error, base: string): OutsideError {
  const code = (error as NodeJS.ErrnoException).code ?? (error.cause as NodeJS.ErrnoException | undefined)?.code ?? error.name
  const isTls = /CERT|SELF_SIGNED|UNABLE_TO/.test(code)
  const hint = isTls ? '; its certificate is not trusted: give the server its CA (NODE_EXTRA_CA_CERTS), or set verifyTls: false' : ''
  return new OutsideError('power-unreachable', `${base} does not answer as Redfish: ${error.message.slice(0, 160)}${hint}`, !isTls, { cause: error })
}
