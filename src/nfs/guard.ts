// A program that must not outlive us: it runs beside a small shell that ends it when our end of a pipe is gone, even after SIGKILL.
// Used by engine. Never goes through a shell with anything but our own fixed text; words are passed as arguments.
import { type ChildProcess, spawn } from 'node:child_process'
import { OutsideError } from '../boot/error.ts'

export type Guarded = {
  readonly pid: number
  /** Resolves with the exit code when it is gone, whoever ended it. */
  readonly ended: Promise<number>
  /** SIGTERM, SIGKILL some seconds later; resolves when it is gone. */
  readonly stop: () => Promise<void>
}

// The pipe is our standard input there: as long as we live, cat waits. POSIX sh gives a program in the background /dev/null for input.
const guardScript = `exec 3<&0
"$@" 3<&- </dev/null &
child=$!
{ cat <&3 >/dev/null; kill -TERM $child; sleep 5; kill -KILL $child; } 2>/dev/null &
watcher=$!
wait $child
code=$?
kill $watcher 2>/dev/null
exit $code`

/** The same for something to undo: runs the words when we are gone, whatever ended us. */
const undoScript = `cat >/dev/null
exec "$@"`

/** Starts it; each line of both its streams goes to `onLine`. Throws OutsideError `nfs-start`. */
export const startGuarded = (argv: readonly string[], onLine: (line: string) => void): Promise<Guarded> => start(guardScript, argv, onLine)

/** Runs the words once, when we are gone or `stop` is called. */
export const startUndo = (argv: readonly string[], onLine: (line: string) => void): Promise<Guarded> => start(undoScript, argv, onLine)

async function start(script: string, argv: readonly string[], onLine: (line: string) => void): Promise<Guarded> {
  const child = spawn('/bin/sh', ['-c', script, 'bivouac-nfs', ...argv], { detached: true, stdio: 'pipe' })
  child.stdin.on('error', () => {})
  for (const stream of [child.stdout, child.stderr]) readLines(stream, onLine)
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (cause) => reject(new OutsideError('nfs-start', `/bin/sh cannot be run: ${cause.message}`, false, { cause })))
  })
  const ended = new Promise<number>((resolve) => {
    child.once('exit', (code) => {
      child.stdin.end()
      resolve(code ?? -1)
    })
  })
  return { pid: child.pid as number, ended, stop: () => stop(child, ended) }
}

async function stop(child: ChildProcess, ended: Promise<number>): Promise<void> {
  child.stdin?.end()
  const hard = setTimeout(() => killGroup(child.pid), 8000)
  await ended
  clearTimeout(hard)
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

const lineLimit = 2000

function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = ''
  stream.on('data', (bytes: Buffer) => {
    const lines = (rest + bytes.toString('utf8')).split('\n')
    rest = (lines.pop() ?? '').slice(-lineLimit)
    for (const line of lines) onLine(line.slice(0, lineLimit))
  })
}
