// Gives out overlays: the one that was looked through and no other, what a script promised while its file is being written, and what is secret
// only to whom its ticket belongs, once. Called by the door.
import type { Mac } from '../boot/address.ts'
import type { Content } from '../boot/content.ts'
import { MissingError, OutsideError } from '../boot/error.ts'
import type { Gate } from './answer.ts'
import type { Files } from './file.ts'
import { type Maybe, onward, orElse } from './maybe.ts'
import { readName } from './name.ts'
import type { Promises } from './promise.ts'
import type { FoundOverlay, OverlaySearch } from './shelf.ts'
import type { Tickets, Verdict } from './ticket.ts'
import type { Opened, Step, Visit } from './visit.ts'

export type OverlayDesk = {
  /** The overlay of this MAC, as its own name asks for it. */
  readonly openOwn: (visit: Visit, mac: Mac) => Maybe<Opened>
  /** An archive of `configs/` under its own name. */
  readonly openByPath: (visit: Visit, path: string) => Maybe<Opened>
}

export type OverlayDeskOptions = {
  readonly gate: Pick<Gate, 'findOverlay' | 'checkOverlay' | 'forgetOverlay' | 'isComposing'>
  readonly files: Files
  readonly promises: Promises
  readonly tickets?: Tickets | undefined
  readonly access: 'open' | 'ticket'
  readonly onOverlay?: ((mac: Mac, overlay: FoundOverlay) => void) | undefined
  /** Was this MAC ever given secrets? Then what it saved has them too. */
  readonly hasSecrets?: ((mac: Mac) => Maybe<boolean>) | undefined
  /** The door's: makes the event when it is out. */
  readonly opened: (visit: Visit, content: Content, step: Step) => Opened
}

/** Is it asked for as a station's, and not as a file of the shelf? */
const isOwn = ({ request }: Visit): boolean => readName(request.name).kind === 'overlay'

/** Both reject with MissingError `overlay-missing` or `overlay-refused`, and OutsideError. */
export function createOverlayDesk({ gate, files, promises, tickets, access, onOverlay, hasSecrets, opened }: OverlayDeskOptions): OverlayDesk {
  /** Whoever has a ticket gets the overlay of the very profile that its script booted. */
  function openOwn(visit: Visit, mac: Mac): Maybe<Opened> {
    const verdict = visit.ticket === undefined ? undefined : checkTicket(visit, mac)
    const isProfile = verdict && 'boot' in verdict ? verdict.boot.isProfile : undefined
    return openOverlay(visit, mac, () => onward(gate.findOverlay(mac, isProfile), (found) => ('path' in found ? classify(mac, found) : found)))
  }

  /** An archive that a station saved holds what it was given: where layers are in use, its secrets stay secret also when it is asked for alone. */
  function classify(mac: Mac, overlay: FoundOverlay): Maybe<FoundOverlay> {
    if (!hasSecrets || overlay.from !== 'station' || !gate.isComposing()) return overlay
    return onward(hasSecrets(mac), (isSecret) => (isSecret ? { ...overlay, isSecret } : overlay))
  }

  const checkTicket = ({ ticket, peer }: Visit, mac: Mac | undefined): Verdict =>
    tickets && ticket !== undefined
      ? tickets.check(ticket, { peer, use: 'overlay', mac })
      : { refused: 'it is given with the ticket of a boot alone' }

  /** An overlay on its way out: what is secret only to whom its ticket belongs, and once. */
  function hand(visit: Visit, mac: Mac | undefined, overlay: FoundOverlay, content: Content, promised?: string): Opened {
    const step = overlayStep(overlay, mac)
    const out = opened(visit, content, promised === undefined ? step : { ...step, detail: { ...step.detail, promised } })
    const told: Opened = {
      ...out,
      done: (sentBytes) => {
        if (mac && sentBytes >= content.sizeBytes) onOverlay?.(mac, overlay)
        out.done(sentBytes)
      },
    }
    if (!overlay.isSecret && access === 'open') return told
    try {
      return guard(visit, mac, told)
    } catch (error) {
      content.close()
      throw error
    }
  }

  function guard(visit: Visit, mac: Mac | undefined, told: Opened): Opened {
    const verdict = mac && isOwn(visit) ? checkTicket(visit, mac) : { refused: 'its path alone opens nothing' }
    if ('refused' in verdict) throw new MissingError('overlay-refused', verdict.refused)
    if (visit.request.head || !tickets) return told
    const delivery = tickets.begin(verdict.boot)
    if ('refused' in delivery) throw new MissingError('overlay-refused', delivery.refused)
    return {
      content: told.content,
      cut: delivery.cut,
      done: (sentBytes) => {
        delivery.done()
        told.done(sentBytes)
      },
    }
  }

  function openOverlay(visit: Visit, mac: Mac | undefined, search: () => Maybe<OverlaySearch>): Maybe<Opened> {
    return onward(search(), (overlay) =>
      'missing' in overlay
        ? openPromised(visit, mac, new MissingError('overlay-missing', overlay.missing))
        : orElse(
            () => openFound(visit, mac, overlay, search),
            (error) => {
              if (error instanceof MissingError && error.code === 'overlay-refused') throw error
              return openPromised(visit, mac, error as Error)
            },
          ),
    )
  }

  function openFound(visit: Visit, mac: Mac | undefined, overlay: FoundOverlay, search: () => Maybe<OverlaySearch>, attempt = 0): Maybe<Opened> {
    if (overlay.file !== undefined) return onward(files.openOutside(overlay.file), (content) => hand(visit, mac, overlay, content))
    return onward(files.open(overlay.path), (content) => {
      if (content.etag.split('#', 1)[0] === overlay.identity) return hand(visit, mac, overlay, content)
      // The file changed between the look through it and now: nothing goes out that was not looked through.
      content.close()
      gate.forgetOverlay(overlay.path)
      if (attempt >= 5) throw new OutsideError('file-changed', `${overlay.path} changes faster than it can be read`, true)
      return onward(search(), (next) => {
        if ('missing' in next) throw new MissingError('overlay-missing', next.missing)
        return openFound(visit, mac, next, search, attempt + 1)
      })
    })
  }

  /** A file that is just being written, or was taken away a moment ago: the station gets what its script promised, for without it it comes up open. */
  function openPromised(visit: Visit, mac: Mac | undefined, error: Error): Maybe<Opened> {
    return onward(mac && promises.keep(mac), (kept) => {
      if (!kept || !mac) throw error
      return onward(classify(mac, kept.overlay), (overlay) => hand(visit, mac, overlay, kept.content, error.message))
    })
  }

  const overlayStep = ({ path, from, report, digest, layers }: FoundOverlay, mac: Mac | undefined): Step => ({
    kind: 'overlay',
    mac,
    detail: {
      path,
      from,
      ...(digest !== undefined && { digest }),
      ...(layers?.length && { layers: layers.join(',') }),
      ...(report.warnings.length && { warnings: report.warnings.map(({ code }) => code).join(',') }),
    },
  })

  return { openOwn, openByPath: (visit, path) => openOverlay(visit, visit.mac, () => gate.checkOverlay(path)) }
}
