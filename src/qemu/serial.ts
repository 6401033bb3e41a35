// The serial line of a virtual station as lines of plain text, and waiting for one. Used by machine.

/** What a station has printed. Waiting looks at what came before as well, so nothing is missed between two calls. */
export type Serial = {
  /** Takes the next bytes of the line, as text. */
  readonly push: (chunk: string) => void
  /** No more will come: all that wait are told. */
  readonly end: () => void
  /** All so far, without escape codes and carriage returns. Bounded: the oldest goes first. */
  readonly text: () => string
  /** The last lines that hold something. */
  readonly tail: (lines: number) => string
  /** Calls the listener for each whole line from now on; returns the way to stop it. */
  readonly onLine: (listener: (line: string) => void) => () => void
  /** Resolves with the match; rejects with the tail of the line after `timeoutMs`, or when the station ends first. */
  readonly waitFor: (pattern: RegExp, timeoutMs: number) => Promise<RegExpMatchArray>
}

const keptChars = 1 << 20
// CSI, the two-letter escapes, and OSC up to BEL; a chunk may end within one, which is kept for the next.
const escapes = /\x1b(\[[0-9;?=]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[A-Zac-z78=>])/g
const unfinished = /\x1b[^A-Za-z]{0,32}$/

/** A new line, empty. */
export function createSerial(): Serial {
  let text = ''
  let held = ''
  let partial = ''
  let isEnded = false
  const lineListeners = new Set<(line: string) => void>()
  const lookers = new Set<() => void>()

  const push = (chunk: string) => {
    const { plain, rest } = stripEscapes(held + chunk)
    held = rest
    text = (text + plain).slice(-keptChars)
    const lines = (partial + plain).split('\n')
    partial = lines.pop() ?? ''
    for (const line of lines) for (const listener of [...lineListeners]) listener(line.trimEnd())
    for (const look of [...lookers]) look()
  }
  const end = () => {
    isEnded = true
    for (const look of [...lookers]) look()
  }
  const onLine = (listener: (line: string) => void) => {
    lineListeners.add(listener)
    return () => void lineListeners.delete(listener)
  }
  const tail = (lines: number) =>
    text
      .split('\n')
      .filter((line) => line.trim())
      .slice(-lines)
      .join('\n')
  const waitFor = (pattern: RegExp, timeoutMs: number) =>
    new Promise<RegExpMatchArray>((resolve, reject) => {
      const finish = (act: () => void) => {
        lookers.delete(look)
        clearTimeout(limit)
        act()
      }
      const fail = (why: string) => finish(() => reject(new Error(`${why} ${pattern} on the serial line; its end:\n${tail(25)}`)))
      const look = () => {
        const found = text.match(pattern)
        if (found) finish(() => resolve(found))
        else if (isEnded) fail('the machine ended without')
      }
      const limit = setTimeout(() => fail(`${timeoutMs} ms without`), timeoutMs)
      lookers.add(look)
      look()
    })
  return { push, end, text: () => text, tail, onLine, waitFor }
}

/** Lore: OVMF and SeaBIOS paint with escape codes; some of them stand for a new line: a cursor position, and
 * the backspaces with which iPXE takes its prompt away. */
function stripEscapes(raw: string): { plain: string; rest: string } {
  const rest = raw.match(unfinished)?.[0] ?? ''
  const whole = rest ? raw.slice(0, -rest.length) : raw
  const plain = whole
    .replace(/\x1b\[[0-9]+;(0?1)?H|(\x08 ?)+/g, '\n')
    .replace(escapes, '')
    .replace(/\r+\n/g, '\n')
    .replace(/[\r\x00\x07]/g, '')
  return { plain, rest }
}
