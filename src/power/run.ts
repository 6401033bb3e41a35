// Runs a tool for a power adapter: arguments as a list, never through a shell, within a time, its words bounded. Used by ipmi and command.
import { execFile } from 'node:child_process'
import { OutsideError } from '../boot/error.ts'

export type Ran = { readonly stdout: string; readonly stderr: string }

export type RunOptions = {
  /** Added to a bare environment: secrets travel here, where other users' process lists do not show them. */
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /** Texts that no message may hold. */
  readonly secrets?: readonly string[]
}

export type Run = (argv: readonly string[], options?: RunOptions) => Promise<Ran>

const maxOutputBytes = 64 * 1024

/** Throws OutsideError `power-tool-missing` or `power-failed` with the tool's last words. */
export const runTool: Run = ([program = '', ...words], { env = {}, timeoutMs = 20_000, signal, secrets = [] } = {}) =>
  new Promise((resolve, reject) => {
    const options = {
      env: { PATH: process.env.PATH ?? '', HOME: '/', LC_ALL: 'C', ...env },
      timeout: timeoutMs,
      maxBuffer: maxOutputBytes,
      killSignal: 'SIGKILL' as const,
      ...(signal && { signal }),
    }
    execFile(program, words, options, (error, stdout, stderr) => {
      if (!error) return resolve({ stdout, stderr })
      const { code, killed } = error as NodeJS.ErrnoException & { killed?: boolean }
      if (code === 'ENOENT')
        return reject(new OutsideError('power-tool-missing', `${program} is not installed (Debian: apt-get install ${program})`, false))
      const said = hide((stderr || stdout).trim().split('\n').at(-1) ?? '', secrets).slice(0, 200)
      const why = killed ? `gave no answer within ${Math.round(timeoutMs / 1000)} s` : said || `ended with ${code}`
      reject(new OutsideError('power-failed', `${program}: ${why}`, true))
    })
  })

/** The text with every secret in it made unreadable. */
export const hide = (text: string, secrets: readonly string[]): string =>
  secrets.filter((secret) => secret.length > 0).reduce((inner, secret) => inner.replaceAll(secret, '***'), text)
