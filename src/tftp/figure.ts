// What is told of a transfer when it has ended: one value for events, logs and metrics. Made by session.ts, handed to `onEnd`.
import type { Blocks } from './block.ts'
import type { Terms } from './option.ts'
import type { Transfer } from './transfer.ts'

export type Peer = { readonly address: string; readonly port: number }

export type TransferFigures = {
  readonly peer: Peer
  /** As the client wrote it. */
  readonly name: string
  /** 0 when it was refused; the translated size in netascii. */
  readonly sizeBytes: number
  /** Bytes of the file that the client has acknowledged. */
  readonly sentBytes: number
  readonly blksize: number
  readonly windowsize: number
  readonly durationMs: number
  readonly resentPackets: number
  /**
   * `complete`: the client acknowledged the last block, or had been sent it and asked for something else. `aborted`: it sent an ERROR, or the file could not be read to its end, or the server
   * stopped. `timeout`: it went away. `refused`: nothing was sent but, perhaps, an ERROR.
   */
  readonly outcome: 'complete' | 'aborted' | 'timeout' | 'refused'
  /** For people; empty when complete. */
  readonly reason: string
  /** It only wanted the size: no failure. Lore: edk2 and PXE ROMs ask with `tsize`, abort after the OACK, then ask for the file itself. */
  readonly isProbe: boolean
}

export type Ending = Pick<TransferFigures, 'outcome' | 'reason'>

/** A transfer that has begun. */
export type Running = { readonly terms: Terms; readonly blocks: Blocks; readonly transfer: Transfer; readonly sizeBytes: number }

type Facts = Pick<TransferFigures, 'peer' | 'name' | 'durationMs'> & { readonly running: Running | undefined }

export function drawFigures({ running, ...facts }: Facts, ending: Ending): TransferFigures {
  if (!running) return { ...facts, ...ending, sizeBytes: 0, sentBytes: 0, blksize: 0, windowsize: 0, resentPackets: 0, isProbe: false }
  const { transfer, terms, sizeBytes } = running
  const { blksize, windowsize } = terms
  const sentBytes = ending.outcome === 'complete' ? sizeBytes : Math.min(sizeBytes, Math.max(0, transfer.acked()) * blksize)
  const asksSize = terms.accepted.some(([name]) => name.toLowerCase() === 'tsize')
  const isProbe = ending.outcome === 'aborted' && asksSize && transfer.acked() < 1
  return { ...facts, ...ending, sizeBytes, sentBytes, blksize, windowsize, resentPackets: transfer.resentPackets(), isProbe }
}
