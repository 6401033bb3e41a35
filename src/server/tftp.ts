// Opens TFTP before the same door as HTTP. Called by server.ts.
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Content } from '../boot/content.ts'
import type { BootEvent } from '../boot/event.ts'
import { maskTicket } from '../station/ticket.ts'
import type { Opened } from '../station/visit.ts'
import type { TransferFigures } from '../tftp/figure.ts'
import { startTftp } from '../tftp/server.ts'
import type { Doors } from './door.ts'
import { findHttpBase } from './place.ts'

/** Nothing where it is off. */
export async function openTftp({ config, rooms, emit, listening, closers }: Doors): Promise<void> {
  const { enabled, address, port, ...limits } = config.tftp
  if (!enabled) return
  // By the very Content that a transfer was given, so that nothing is kept of one that never began.
  const begun = new WeakMap<Content, Opened>()
  const server = await startTftp({
    address,
    port,
    limits,
    read: async (name, peer) => {
      const opened = await rooms.door.open({ name, peer: peer.address, via: 'tftp', httpBase: findHttpBase(config, peer.address) })
      const own = { ...opened.content }
      begun.set(own, opened)
      return own
    },
    onEnd: (figures, content) => {
      const opened = content && begun.get(content)
      if (figures.outcome === 'complete') return opened?.done(figures.sentBytes)
      opened?.cut?.()
      if (opened && !figures.isProbe && rooms.mayTell('transfer-failed', figures.peer.address))
        emit(describeFailure(figures, rooms.presence.find(figures.peer.address)))
    },
  })
  closers.push(() => server.stop())
  listening.push({ service: 'tftp', address: [address].flat().join(', '), port: server.port })
}

function describeFailure({ peer, name, sizeBytes, sentBytes, outcome, reason }: TransferFigures, mac: Mac | undefined): BootEvent {
  const detail = { via: 'tftp', file: maskTicket(name).slice(0, 120), sizeBytes, sentBytes, reason: `${outcome}: ${reason}` }
  return { at: Date.now(), kind: 'transfer-failed', ip: peer.address as Ipv4, ...(mac && { mac }), detail }
}
