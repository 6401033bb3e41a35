// One transfer as a pure state machine: ACK or time-out in; which block is due next and until when to wait, out. Called by desk.ts.
// Counts blocks without end (the wire's 16 bits are its border only); the OACK is block 0. Knows no bytes, sockets or clock.

/** How a transfer stands. `silent`: the client is gone. `stuck`: it answers, but nothing moves. `starved`: the file's bytes did not come. */
export type Standing = 'going' | 'complete' | 'silent' | 'stuck' | 'starved'

export type TransferOptions = {
  /** Number of the last block, the short or empty one; at least 1. */
  readonly blockCount: number
  readonly windowsize: number
  /** Whether an OACK goes out first and is waited for. */
  readonly hasGreeting: boolean
  /** The wait that the client asked for (RFC 2349): kept as it is, neither measured nor doubled. */
  readonly timeoutMs?: number
  /** Milliseconds, of any clock that never steps back. */
  readonly now: number
}

export type Transfer = {
  /** The block that may leave now; undefined when it is the client's turn. */
  readonly due: () => number | undefined
  /** The due block has left. */
  readonly sent: (now: number) => void
  /** An ACK with the block number of the wire. */
  readonly receiveAck: (wireBlock: number, now: number) => Standing
  /** The same request came again: its answer may have been lost. */
  readonly receiveRequest: (now: number) => Standing
  /** To be called once `deadline()` has passed. */
  readonly expire: (now: number) => Standing
  readonly deadline: () => number
  /** The last block that the client has acknowledged; -1 when not even the OACK. */
  readonly acked: () => number
  /** Whether the client has answered at all: until then its address may be forged. */
  readonly isProven: () => boolean
  /** Whether the last block has left, acknowledged or not. */
  readonly isAllSent: () => boolean
  readonly resentPackets: () => number
}

/** Milliseconds and counts by which a transfer waits and gives up. */
export const patience = {
  /** Before the first measured round trip. The daemons wait 1 to 5 s, and a lost packet costs them that. */
  firstWaitMs: 250,
  /** Never less, however fast the network: firmware polls its card, and a busy event loop of ours looks like a slow client. */
  leastWaitMs: 100,
  mostWaitMs: 4000,
  /** A repeated ACK that comes so soon after a window was sent was caused by the window before it. */
  echoMs: 20,
  /** So many ACKs inside a window, one after the other, are less likely losses than answers to our own copies. */
  gapsInRowMax: 3,
  /** A client that says nothing gets a window so many times. */
  sendsMax: 5,
  /** And a client that only repeats itself so many times. */
  resendsMax: 25,
  /** A client that has answered before and needs more is waited for so long in all: a switch that learns its ports takes seconds. */
  silenceMs: 20_000,
  /** For bytes that the disk does not give. */
  starvedMs: 30_000,
} as const

/**
 * RFC 1350 with RFC 1123 4.2.3.1 (only the timer resends in lock-step, whatever the client repeats) and RFC 7440 (an ACK inside a window
 * restarts after it; a repeated ACK restarts the window, but not as an echo: Lore: edk2 acknowledges every DATA that it did not expect, and
 * without the guard each of these ACKs would send a window more, up to the end of the file).
 */
export function createTransfer({ blockCount, windowsize, hasGreeting, timeoutMs, now: startedAt }: TransferOptions): Transfer {
  const wait = createWait()
  let base = hasGreeting ? -1 : 0
  let isProven = false
  let top = base
  let next = base + 1
  let end = hasGreeting ? 0 : Math.min(windowsize, blockCount)
  let isClean = true
  let isSuspect = false
  let sends = 1
  let resends = 0
  let resentPackets = 0
  let sentAt = startedAt
  /** When blocks were last sent that the client may have: for a moment its ACKs answer the copies, not the window. */
  let copiesAt = Number.NEGATIVE_INFINITY
  let gapsInRow = 0
  let heardAt = startedAt
  let deadline = startedAt + patience.starvedMs

  const waitMs = () => (timeoutMs !== undefined && isProven ? timeoutMs : wait.current())
  const echoMs = () => Math.max(patience.echoMs, 2 * wait.roundTripMs())
  const restart = (now: number): Standing => {
    if (resends === patience.resendsMax) return 'stuck'
    resends++
    sends++
    isSuspect = false
    copiesAt = now
    next = base + 1
    deadline = now + patience.starvedMs
    return 'going'
  }
  /** The window as it stands is believed in for a moment only: if the next ACK does not come, it is sent again. */
  const suspect = (now: number): Standing => {
    isSuspect = true
    deadline = next <= end ? now + patience.starvedMs : Math.min(deadline, sentAt + echoMs())
    return 'going'
  }
  const advance = (count: number, now: number): Standing => {
    base += count
    const isWhole = base === end
    if (isWhole && isClean) wait.measure(now - sentAt)
    else if (isWhole) wait.settle(now - sentAt)
    if (base === blockCount) return 'complete'
    end = Math.min(base + windowsize, blockCount)
    sends = 1
    resends = 0
    gapsInRow = isWhole ? 0 : gapsInRow + 1
    if (gapsInRow === patience.gapsInRowMax) {
      gapsInRow = 0
      copiesAt = now
    }
    if (!isWhole && now - copiesAt < echoMs()) {
      next = Math.max(next, base + 1)
      return suspect(now)
    }
    next = base + 1
    isClean = true
    isSuspect = false
    deadline = now + patience.starvedMs
    return 'going'
  }
  const receiveAck = (wireBlock: number, now: number): Standing => {
    const count = (wireBlock - base) & 0xffff
    if (count > top - base) return 'going'
    isProven ||= count > 0
    heardAt = now
    if (count > 0) return advance(count, now)
    sends = 0
    if (next <= end) return 'going'
    deadline = Math.min(deadline, sentAt + waitMs())
    if (windowsize === 1 || base < 0) return 'going'
    return now - sentAt < echoMs() ? suspect(now) : restart(now)
  }
  const receiveRequest = (now: number): Standing => {
    if (isProven || next <= end || now - sentAt < patience.echoMs) return 'going'
    return restart(now)
  }
  const expire = (now: number): Standing => {
    if (next <= end) return 'starved'
    if (isSuspect) return restart(now)
    if (sends >= patience.sendsMax) {
      if (!isProven || end === blockCount || now >= heardAt + patience.silenceMs) return 'silent'
      deadline = heardAt + patience.silenceMs
      return 'going'
    }
    if (timeoutMs === undefined || !isProven) wait.double()
    return restart(now)
  }
  const sent = (now: number) => {
    if (next > top) top = next
    else {
      resentPackets++
      isClean = false
    }
    next++
    sentAt = now
    deadline = now + (next <= end ? patience.starvedMs : isSuspect ? echoMs() : waitMs())
  }
  return {
    due: () => (next <= end ? next : undefined),
    sent,
    receiveAck,
    receiveRequest,
    expire,
    deadline: () => deadline,
    acked: () => base,
    isProven: () => isProven,
    isAllSent: () => top === blockCount,
    resentPackets: () => resentPackets,
  }
}

/** The wait before a resend, from measured round trips (RFC 6298), doubled while they cannot be measured (Karn's rule). */
function createWait() {
  let current: number = patience.firstWaitMs
  let smoothed = 0
  let variance = 0
  const compute = () => {
    current = Math.min(Math.max(smoothed + 4 * variance, patience.leastWaitMs), patience.mostWaitMs)
  }
  const measure = (roundTripMs: number) => {
    variance = smoothed ? variance + (Math.abs(roundTripMs - smoothed) - variance) / 4 : roundTripMs / 2
    smoothed = smoothed ? smoothed + (roundTripMs - smoothed) / 8 : roundTripMs
    compute()
  }
  /** The answer to a resend. So quick a one belongs to the resend: a packet was lost, the network is not slower than it was. */
  const settle = (sinceResendMs: number) => {
    if (smoothed && sinceResendMs < 2 * smoothed + 5) compute()
  }
  const double = () => {
    current = Math.min(current * 2, patience.mostWaitMs)
  }
  return { current: () => current, roundTripMs: () => smoothed, measure, settle, double }
}
