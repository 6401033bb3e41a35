import { describe, expect, it } from 'vitest'
import { createTransfer, patience, type Standing, type Transfer, type TransferOptions } from '../../src/tftp/transfer.ts'

/** Sends all that is due and answers the block numbers. */
function flush(transfer: Transfer, now: number): number[] {
  const blocks: number[] = []
  for (let block = transfer.due(); block !== undefined; block = transfer.due()) {
    blocks.push(block)
    transfer.sent(now)
  }
  return blocks
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

const begin = (options: Partial<TransferOptions> = {}): Transfer =>
  createTransfer({ blockCount: 100, windowsize: 1, hasGreeting: false, now: 0, ...options })

/** Lets the client vanish; answers when windows were sent and when it was given up. */
function vanish(transfer: Transfer, from: number): { sends: number[]; endedAt: number; standing: Standing } {
  const sends: number[] = []
  for (let now = from; ; now = transfer.deadline()) {
    if (now > from) {
      const standing = transfer.expire(now)
      if (standing !== 'going') return { sends, endedAt: now, standing }
    }
    if (flush(transfer, now).length) sends.push(now - from)
  }
}

describe('lock-step', () => {
  it('sends a block for each ACK and is complete with the last', () => {
    const transfer = begin({ blockCount: 3 })
    expect(flush(transfer, 0)).toEqual([1])
    expect(transfer.receiveAck(1, 1)).toBe('going')
    expect(flush(transfer, 1)).toEqual([2])
    transfer.receiveAck(2, 2)
    expect(flush(transfer, 2)).toEqual([3])
    expect(transfer.receiveAck(3, 3)).toBe('complete')
    expect([transfer.acked(), transfer.resentPackets()]).toEqual([3, 0])
  })

  it('waits for the ACK of the OACK first', () => {
    const transfer = begin({ hasGreeting: true, windowsize: 8 })
    expect(flush(transfer, 0)).toEqual([0])
    expect(transfer.isProven()).toBe(false)
    transfer.receiveAck(1, 1)
    expect(flush(transfer, 1)).toEqual([])
    transfer.receiveAck(0, 2)
    expect(transfer.isProven()).toBe(true)
    expect(flush(transfer, 2)).toEqual(range(1, 8))
  })

  it.each([1, 19, 21, 99, 249, 5000])('never resends for a repeated ACK, %d ms later (RFC 1123 4.2.3.1)', (later) => {
    const transfer = begin()
    flush(transfer, 0)
    transfer.receiveAck(1, 0)
    expect(flush(transfer, 0)).toEqual([2])
    for (let copy = 0; copy < 50; copy++) expect(transfer.receiveAck(1, later)).toBe('going')
    expect(flush(transfer, later)).toEqual([])
    expect(transfer.resentPackets()).toBe(0)
  })

  it.each([0, 3, 99, 65535])('takes no notice of an ACK %d for what was not sent', (block) => {
    const transfer = begin()
    flush(transfer, 0)
    transfer.receiveAck(1, 0)
    flush(transfer, 0)
    const before = transfer.deadline()
    expect(transfer.receiveAck(block, 10)).toBe('going')
    expect([transfer.acked(), transfer.deadline(), transfer.due()]).toEqual([1, before, undefined])
  })

  it('rolls over from 65535 to 0', () => {
    const transfer = begin({ blockCount: 140_000 })
    for (let block = 1; block < 140_000; block++) {
      if (flush(transfer, block)[0] !== block) throw new Error(`not sent: ${block}`)
      if (transfer.receiveAck(block & 0xffff, block) !== 'going') throw new Error(`ended at ${block}`)
    }
    flush(transfer, 140_000)
    expect(transfer.receiveAck(140_000 & 0xffff, 140_001)).toBe('complete')
  })
})

describe('a window', () => {
  it('is answered by its last block, and the last one is short', () => {
    const transfer = begin({ blockCount: 10, windowsize: 4 })
    expect(flush(transfer, 0)).toEqual([1, 2, 3, 4])
    transfer.receiveAck(4, 1)
    expect(flush(transfer, 1)).toEqual([5, 6, 7, 8])
    transfer.receiveAck(8, 2)
    expect(flush(transfer, 2)).toEqual([9, 10])
    expect(transfer.receiveAck(10, 3)).toBe('complete')
  })

  it('restarts after the block that the client has (RFC 7440 section 4)', () => {
    const transfer = begin({ windowsize: 4 })
    flush(transfer, 0)
    transfer.receiveAck(2, 1)
    expect(flush(transfer, 1)).toEqual([3, 4, 5, 6])
    expect(transfer.resentPackets()).toBe(2)
  })

  it('rolls over inside', () => {
    const transfer = begin({ blockCount: 70_000, windowsize: 64 })
    flush(transfer, 0)
    for (let block = 64; block <= 65472; block += 64) {
      transfer.receiveAck(block, block)
      flush(transfer, block)
    }
    transfer.receiveAck(0, 70_000)
    expect(flush(transfer, 70_000)).toEqual(range(65537, 65600))
  })

  it('is not sent again for the echoes of the one before it, but soon after when they were none', () => {
    const transfer = begin({ windowsize: 4 })
    flush(transfer, 0)
    transfer.receiveAck(4, 1)
    flush(transfer, 1)
    for (let echo = 0; echo < 4; echo++) transfer.receiveAck(4, 2)
    expect(transfer.due()).toBe(undefined)
    expect(transfer.deadline()).toBe(1 + patience.echoMs)
    transfer.expire(transfer.deadline())
    expect(flush(transfer, 21)).toEqual([5, 6, 7, 8])
  })

  it('is sent again for an ACK that repeats itself later', () => {
    const transfer = begin({ windowsize: 4 })
    flush(transfer, 0)
    transfer.receiveAck(4, 1)
    flush(transfer, 1)
    transfer.receiveAck(4, 1 + patience.echoMs)
    expect(flush(transfer, 21)).toEqual([5, 6, 7, 8])
  })

  it('goes on without repeating when an ACK out of step follows a resend', () => {
    const transfer = begin({ windowsize: 4 })
    flush(transfer, 0)
    transfer.receiveAck(4, 1)
    flush(transfer, 1)
    transfer.receiveAck(4, 40)
    expect(flush(transfer, 40)).toEqual([5, 6, 7, 8])
    transfer.receiveAck(6, 41)
    expect(flush(transfer, 41)).toEqual([9, 10])
    transfer.receiveAck(10, 42)
    expect(flush(transfer, 42)).toEqual([11, 12, 13, 14])
  })
})

describe('bytes that come late', () => {
  it('are not sent when the client has them by then, and waiting for them is no time-out', () => {
    const transfer = begin({ windowsize: 4 })
    flush(transfer, 0)
    transfer.receiveAck(4, 1)
    flush(transfer, 1)
    transfer.receiveAck(4, 40)
    expect(transfer.due()).toBe(5)
    transfer.receiveAck(6, 41)
    expect(transfer.deadline()).toBe(41 + patience.starvedMs)
    expect(flush(transfer, 500)).toEqual([7, 8, 9, 10])
  })
})

describe('time', () => {
  it('runs from 250 ms and doubles; five packets for a client that vanished at once', () => {
    expect(vanish(begin(), 0)).toEqual({ sends: [0, 250, 750, 1750, 3750], endedAt: 7750, standing: 'silent' })
    expect(vanish(begin({ hasGreeting: true, timeoutMs: 60_000 }), 0).endedAt).toBe(7750)
  })

  it('is measured: shorter where the client is quick, longer where it is slow', () => {
    const waitAt = (roundTripMs: number): number => {
      const transfer = begin()
      let now = 0
      for (let block = 1; block < 20; block++) {
        flush(transfer, now)
        now += roundTripMs
        transfer.receiveAck(block, now)
      }
      flush(transfer, now)
      return transfer.deadline() - now
    }
    expect(waitAt(0.3)).toBe(patience.leastWaitMs)
    expect(waitAt(200)).toBeGreaterThan(200)
    expect(waitAt(200)).toBeLessThan(250)
  })

  it('stays doubled when the network has become slow, and not when a packet was lost', () => {
    const waitAfterResend = (answerMs: number): number => {
      const transfer = begin()
      flush(transfer, 0)
      transfer.receiveAck(1, 1)
      flush(transfer, 1)
      transfer.expire(transfer.deadline())
      flush(transfer, 101)
      transfer.receiveAck(2, 101 + answerMs)
      flush(transfer, 101 + answerMs)
      return transfer.deadline() - 101 - answerMs
    }
    expect(waitAfterResend(1)).toBe(100)
    expect(waitAfterResend(90)).toBe(200)
  })

  it('five packets for a client that vanishes in the middle, but patience of 20 s', () => {
    const transfer = begin()
    flush(transfer, 0)
    transfer.receiveAck(1, 1)
    expect(vanish(transfer, 1)).toEqual({ sends: [0, 100, 300, 700, 1500], endedAt: 20_001, standing: 'silent' })
  })

  it('is the time-out that the client named, once it has answered', () => {
    const transfer = begin({ hasGreeting: true, timeoutMs: 3000 })
    flush(transfer, 0)
    transfer.receiveAck(0, 1)
    expect(vanish(transfer, 1)).toEqual({ sends: [0, 3000, 6000, 9000, 12_000], endedAt: 20_001, standing: 'silent' })
  })

  it('ends with a client that only repeats itself', () => {
    for (const windowsize of [1, 8]) {
      const transfer = begin({ windowsize })
      flush(transfer, 0)
      transfer.receiveAck(1, 0)
      let standing: Standing = 'going'
      let packets = 0
      let now = 0
      while (standing === 'going' && now < 600_000) {
        packets += flush(transfer, now).length
        now += 50
        standing = transfer.receiveAck(1, now)
        if (standing === 'going' && now >= transfer.deadline()) standing = transfer.expire(now)
      }
      expect(standing).toBe('stuck')
      expect(packets).toBe(windowsize * (1 + patience.resendsMax))
    }
  })

  it('ends when the bytes do not come', () => {
    const transfer = begin()
    expect(transfer.deadline()).toBe(patience.starvedMs)
    expect(transfer.expire(transfer.deadline())).toBe('starved')
  })
})

describe('the same request again', () => {
  it('is answered again while the client has not answered, but not at once', () => {
    const transfer = begin({ hasGreeting: true })
    flush(transfer, 0)
    transfer.receiveRequest(patience.echoMs - 1)
    expect(flush(transfer, 19)).toEqual([])
    transfer.receiveRequest(patience.echoMs)
    expect(flush(transfer, 20)).toEqual([0])
    transfer.receiveAck(0, 21)
    flush(transfer, 21)
    transfer.receiveRequest(100)
    expect(flush(transfer, 100)).toEqual([])
  })
})
