// Which options of a request are agreed to (RFC 2347, 2348, 2349, 7440). Called by desk.ts; unknown or bad ones are left out, never an error.
import type { TftpLimits } from './limit.ts'
import type { OptionPair } from './packet.ts'

/** How a transfer runs. */
export type Terms = {
  readonly blksize: number
  readonly windowsize: number
  /** The client's own wait before a resend; absent when it named none. */
  readonly timeoutMs?: number
  /** What the OACK says, in the client's order and spelling; empty means that no OACK is sent. */
  readonly accepted: readonly OptionPair[]
}

/** The terms for a read request. Names in any case; of a repeated option the first counts (RFC 2347: each only once). */
export function agree(asked: readonly OptionPair[], sizeBytes: number, limits: Pick<TftpLimits, 'blksizeMax' | 'windowsizeMax'>): Terms {
  const answers = new Map<string, number>()
  const accepted: OptionPair[] = []
  for (const [spelling, value] of asked) {
    const name = spelling.toLowerCase()
    const answer = answers.has(name) ? undefined : answerTo(name, parseNumber(value), sizeBytes, limits)
    if (answer === undefined) continue
    answers.set(name, answer)
    accepted.push([spelling, String(answer)])
  }
  const timeout = answers.get('timeout')
  return {
    blksize: answers.get('blksize') ?? 512,
    windowsize: answers.get('windowsize') ?? 1,
    ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
    accepted,
  }
}

function answerTo(
  name: string,
  asked: number | undefined,
  sizeBytes: number,
  { blksizeMax, windowsizeMax }: Pick<TftpLimits, 'blksizeMax' | 'windowsizeMax'>,
): number | undefined {
  if (asked === undefined) return undefined
  if (name === 'blksize' && within(asked, 8, 65464)) return Math.min(asked, blksizeMax)
  if (name === 'windowsize' && within(asked, 1, 65535)) return Math.min(asked, windowsizeMax)
  if (name === 'timeout' && within(asked, 1, 255)) return asked
  // The client says 0 and is told the size (RFC 2349). Lore: some firmware says another number; it means the same.
  if (name === 'tsize') return sizeBytes
  return undefined
}

const within = (number: number, least: number, most: number): boolean => number >= least && number <= most

const parseNumber = (text: string): number | undefined => (/^[0-9]{1,15}$/.test(text) ? Number(text) : undefined)
