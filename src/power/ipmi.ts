// IPMI by ipmitool: status, on, off, reset, next boot device. The password goes by the environment (`-E`), so that no process list shows it.
import { OutsideError } from '../boot/error.ts'
import type { PowerAction, PowerState, PowerSwitch } from './adapter.ts'
import type { Run } from './run.ts'

export type IpmiOptions = {
  readonly address: string
  readonly user: string
  readonly password: string
  readonly interface?: string
  readonly port?: number
  readonly run: Run
}

const verbs = { on: 'on', off: 'off', cycle: 'reset' } as const satisfies Record<PowerAction, string>

/** A controller at that address. */
export function createIpmi({ address, user, password, run, ...more }: IpmiOptions): PowerSwitch {
  const place = [...(more.interface ? ['-I', more.interface] : []), ...(more.port && more.port !== 623 ? ['-p', String(more.port)] : [])]
  // Two seconds, two tries: a dead controller must not hold up a list of a hundred.
  const call = async (words: readonly string[], signal?: AbortSignal): Promise<string> => {
    const argv = ['ipmitool', ...place, '-N', '2', '-R', '2', '-H', address, '-U', user, '-E', 'chassis', ...words]
    const { stdout } = await run(argv, { env: { IPMI_PASSWORD: password }, signal, secrets: [password] })
    return stdout
  }
  return {
    status: async (signal) => readStatus(await call(['power', 'status'], signal)),
    // Lore: "reset" of a machine that is off does nothing on most controllers and is an error on some (IPMI 2.0, 28.3); it is to run afterwards.
    act: async (action, signal) => {
      const isOff = action === 'cycle' && readStatus(await call(['power', 'status'], signal)) === 'off'
      await call(['power', isOff ? 'on' : verbs[action]], signal)
    },
    bootFrom: async (device, signal) => void (await call(['bootdev', device === 'network' ? 'pxe' : 'disk'], signal)),
  }
}

/** ipmitool's own words. Throws OutsideError `power-answer` for others. */
function readStatus(text: string): PowerState {
  const found = /Chassis Power is (on|off)/i.exec(text)?.[1]?.toLowerCase()
  if (found === 'on' || found === 'off') return found
  throw new OutsideError('power-answer', `ipmitool said ${JSON.stringify(text.trim().slice(0, 80))}, which is no power state`, true)
}
