// Runs a program from an argument array, never through a shell, and takes its whole process group down on cancel or time-out.
// Used by source, toolchain, tree and job.
import { spawn } from 'node:child_process'
import { ConflictError, OutsideError } from '../boot/error.ts'

export type RunOptions = {
  readonly cwd?: string
  /** Added to the clean environment (PATH, LC_ALL, HOME). */
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Each line of both streams, without its line end. */
  readonly onLine?: (line: string) => void
}

/** How it ended. `tail` holds the last lines of both streams; `stdout` the first megabyte. */
export type Outcome = { readonly code: number; readonly stdout: string; readonly tail: readonly string[] }

export type Run = (argv: readonly string[], options?: RunOptions) => Promise<Outcome>

const tailLines = 60
const lineLimit = 2000
const stdoutLimit = 1 << 20

/**
 * Resolves with whatever exit code.
 * @throws OutsideError `tool-missing` or `tool-timeout`; ConflictError `cancelled` when the signal fired.
 */
export const runTool: Run = (argv, { cwd, env, input, timeoutMs, signal, onLine } = {}) =>
  new Promise((resolve, reject) => {
    const [program = '', ...words] = argv
    if (signal?.aborted) return reject(new ConflictError('cancelled', 'cancelled'))
    // MAKEFLAGS and the like of the operator's own shell must not reach make.
    const clean = { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: process.env.HOME ?? '/', LC_ALL: 'C', ...env }
    const child = spawn(program, words, {
      ...(cwd ? { cwd } : {}),
      env: clean,
      detached: true,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    const tail: string[] = []
    let stdout = ''
    let end: Error | undefined
    const stop = (error: Error): void => {
      end ??= error
      killGroup(child.pid)
    }
    const cancel = (): void => stop(new ConflictError('cancelled', 'cancelled'))
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => stop(new OutsideError('tool-timeout', `${program} did not end within ${timeoutMs / 1000} s`, true)), timeoutMs)
    signal?.addEventListener('abort', cancel, { once: true })
    const takeLine = (line: string): void => {
      tail.push(line.slice(0, lineLimit))
      if (tail.length > tailLines) tail.shift()
      onLine?.(line.slice(0, lineLimit))
    }
    const outLines = splitLines(takeLine)
    const errorLines = splitLines(takeLine)
    child.stdout?.on('data', (bytes: Buffer) => {
      if (stdout.length < stdoutLimit) stdout += bytes.toString('utf8')
      outLines.push(bytes)
    })
    child.stderr?.on('data', (bytes: Buffer) => errorLines.push(bytes))
    child.stdin?.on('error', () => {})
    if (input !== undefined) child.stdin?.end(input)
    child.on('error', (cause) => {
      end ??= new OutsideError('tool-missing', `${program} cannot be run`, false, { cause })
      finish(-1)
    })
    child.on('close', (code) => finish(code ?? -1))
    const finish = (code: number): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
      outLines.end()
      errorLines.end()
      if (end) reject(end)
      else resolve({ code, stdout, tail })
    }
  })

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

function splitLines(take: (line: string) => void): { push: (bytes: Buffer) => void; end: () => void } {
  let rest = ''
  return {
    push: (bytes) => {
      const lines = (rest + bytes.toString('utf8')).split('\n')
      rest = (lines.pop() ?? '').slice(-lineLimit)
      for (const line of lines) take(line)
    },
    end: () => {
      if (rest !== '') take(rest)
      rest = ''
    },
  }
}

/** Runs to a good end. @throws OutsideError `tool-failed` with the tail of what it said. */
export async function runWell(run: Run, argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, tail } = await run(argv, options)
  if (code !== 0) throw new OutsideError('tool-failed', `${argv.slice(0, 2).join(' ')} ended with ${code}: ${tail.slice(-5).join(' | ')}`, false)
  return stdout
}
