// Power by the site's own commands, as PXE Pilot's adapters have them: words with variables, the state read from what they print.
import { InputError, OutsideError } from '../boot/error.ts'
import type { Adapter } from '../boot/power.ts'
import type { PowerAction, PowerSwitch } from './adapter.ts'
import type { Run } from './run.ts'

export type CommandOptions = {
  readonly adapter: Adapter
  readonly address?: string
  readonly variables: Readonly<Record<string, string>>
  readonly run: Run
}

/**
 * The switch. Variables: `ip_address`, the machine's own, then the adapter's, which may use those before them. Throws InputError for a variable that nobody gives
 * and for a pattern that is none.
 */
export function createCommand({ adapter, address, variables, run }: CommandOptions): PowerSwitch {
  const known = expandVariables({ ...(address !== undefined && { ip_address: address }), ...variables }, adapter.variables)
  // Any value may be a secret: none is repeated in a message.
  const secrets = Object.entries(known).flatMap(([name, value]) => (name === 'ip_address' ? [] : [value]))
  const call = async (cmd: string, signal?: AbortSignal): Promise<string> => {
    const { stdout, stderr } = await run(expandWords(cmd, known), { signal, secrets })
    return stdout + stderr
  }
  const needs = <T>(part: T | undefined, name: string): T => {
    if (part === undefined) throw new InputError('power-adapter', `adapter ${adapter.name} has no command for ${name}`)
    return part
  }
  return {
    async status(signal) {
      const { cmd, on, off } = needs(adapter.status, 'status')
      const [isOn, isOff] = [pattern(on), pattern(off)]
      const text = await call(cmd, signal)
      if (isOn.test(text)) return 'on'
      if (isOff.test(text)) return 'off'
      throw new OutsideError('power-answer', `adapter ${adapter.name}: what it printed fits neither pattern`, true)
    },
    act: async (action: PowerAction, signal) => void (await call(needs(adapter[action], action).cmd, signal)),
  }
}

/** The words of a command, split at blanks before variables are put in: a value with a blank stays one word. */
export function expandWords(cmd: string, variables: Readonly<Record<string, string>>): string[] {
  const words = cmd.match(/(?:\{\{[^}]*\}\}|[^\s])+/g) ?? []
  return words.map((word) => expand(word, variables))
}

// Go's template syntax, as far as PXE Pilot's adapters use it: {{ .name }}, {{.name}}; the dot may be left out.
function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{-?\s*\.?([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}|\{\{[^}]*\}\}/g, (whole, name?: string) => {
    const value = name !== undefined && Object.hasOwn(variables, name) ? variables[name] : undefined
    if (value === undefined)
      throw new InputError('power-variable', `${whole} is given by nobody (there are: ${Object.keys(variables).join(', ') || 'none'})`)
    return value
  })
}

function expandVariables(own: Readonly<Record<string, string>>, templates: Readonly<Record<string, string>>): Record<string, string> {
  const known: Record<string, string> = { ...own }
  for (const [name, text] of Object.entries(templates)) known[name] = expand(text, known)
  return known
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, 'm')
  } catch (error) {
    throw new InputError('power-pattern', `${JSON.stringify(text)} is no pattern: ${(error as Error).message}`)
  }
}
