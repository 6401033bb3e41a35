// Which dnsmasq this is, what it can bear, and its own word on a configuration. Used by the engine and by commands.
import { execFile } from 'node:child_process'
import { InputError, OutsideError } from '../boot/error.ts'
import type { DhcpHostsFile } from './dhcphosts.ts'

const outcomeOf = (program: string, args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> =>
  new Promise((resolve, reject) => {
    execFile(program, [...args], { timeout: 10_000 }, (error, stdout, stderr) => {
      const code = error ? ((error as { code?: unknown }).code ?? 1) : 0
      if (code === 'ENOENT' || code === 'EACCES')
        reject(new OutsideError('dnsmasq-missing', `${program} cannot be run: install dnsmasq-base, or set dnsmasq.program`, false, { cause: error }))
      else resolve({ code: Number(code) || (error ? 1 : 0), output: `${stdout}${stderr}` })
    })
  })

/** `2.90`; 0.0 when it does not say. Throws OutsideError when there is no such program. */
export async function readVersion(program: string): Promise<string> {
  const { output } = await outcomeOf(program, ['--version'])
  return /version (\d+\.\d+)/.exec(output)?.[1] ?? '0.0'
}

/** Throws InputError `dnsmasq-conf` with dnsmasq's own words when it refuses the file. */
export async function testConf(program: string, path: string): Promise<void> {
  const { code, output } = await outcomeOf(program, ['--test', `--conf-file=${path}`])
  if (code !== 0) throw new InputError('dnsmasq-conf', `${program} refuses it: ${output.trim().slice(0, 500)}`, { file: path })
}

/**
 * Must it be restarted where a signal would do? Lore: 2.90 (Debian 12) dies on SIGHUP when a line of a hosts file that sets a tag was used by a
 * client; mended in 2.91.
 */
export function mustRestart(version: string, files: readonly DhcpHostsFile[]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 2 || (major === 2 && minor >= 91)) return false
  return files.some(({ lines }) => lines.some((line) => line.kind === 'host' && line.items.some(({ kind }) => kind === 'set' || kind === 'tag')))
}
