// How commands speak: plain lines for people, JSON for machines, errors with their exit code. Used by every command file.
import { BivouacError, ConflictError, InputError, MissingError, OutsideError } from '../boot/error.ts'

/** Exit codes, the same for every command. */
export const exitCodes = { done: 0, usage: 1, invalid: 2, conflict: 3, missing: 4, failed: 5 } as const

/** Which exit code an error ends the process with. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof InputError) return exitCodes.invalid
  if (error instanceof ConflictError) return exitCodes.conflict
  if (error instanceof MissingError || error instanceof OutsideError) return exitCodes.missing
  return exitCodes.failed
}

/** One line on standard output. */
export const say = (line = ''): void => void process.stdout.write(`${line}\n`)

/** What may wait for a terminal or a pipe that takes nothing. */
const waitingBytesMax = 1024 * 1024

/**
 * Lines of a server on standard output, which never hold it up: what is not taken waits up to 1 MB, further lines are dropped and counted.
 * Lore: Node writes to a terminal synchronously; Ctrl-S there, or a serial console that hangs, would stop DHCP for the whole site.
 */
export function createTeller(stream: NodeJS.WriteStream = process.stdout): (line: string) => void {
  const { _handle: handle } = stream as { _handle?: { setBlocking?: (isBlocking: boolean) => void } }
  handle?.setBlocking?.(false)
  let dropped = 0
  return (line) => {
    if (stream.writableLength > waitingBytesMax) {
      dropped++
      return
    }
    if (dropped) stream.write(`${dropped} lines were not taken in time and are left out\n`)
    dropped = 0
    stream.write(`${line}\n`)
  }
}

/** Ends the process a second later if standard output still takes nothing; what waits is lost then. */
export function leaveUnread(): void {
  if (process.stdout.writableLength > 0) setTimeout(() => process.exit(), 1000).unref()
}

/** One line on standard error. */
export const warn = (line: string): void => void process.stderr.write(`${line}\n`)

/** The value as indented JSON on standard output. */
export const sayJson = (value: unknown): void => say(JSON.stringify(value, null, 2))

/** Tells an error to people (or, with `json`, to machines) on standard error. A fault of ours shows its stack. */
export function sayError(error: unknown, json: boolean): void {
  const code = error instanceof BivouacError ? error.code : 'internal'
  const message = error instanceof Error ? error.message : String(error)
  if (json) warn(JSON.stringify({ error: { code, message } }))
  else if (error instanceof BivouacError) warn(`bivouac: ${message}`)
  else warn(`bivouac: internal error, please report it: ${error instanceof Error ? error.stack : message}`)
}

/** Columns padded to their widest cell, two blanks between, header in capitals. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(header.map((title) => title.toUpperCase())), ...rows.map(line)].join('\n')
}

/** Local time of day with milliseconds, for lines that follow each other quickly. */
export function formatTime(at: number): string {
  const date = new Date(at)
  const part = (value: number, digits = 2) => String(value).padStart(digits, '0')
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`
}
