// The door: from a name in a TFTP or HTTP request to its bytes, and to the event when they are out. Called by the wiring of both protocols.
// It decides nothing; it asks the gate. One name space for both: see name.ts.
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Facts } from '../boot/client.ts'
import type { Content } from '../boot/content.ts'
import { InputError, MissingError, OutsideError } from '../boot/error.ts'
import type { BootEvent, Emit, EventKind } from '../boot/event.ts'
import type { Loader, LoaderLibrary } from '../ipxe/library.ts'
import type { Additions } from '../release/addition.ts'
import type { Gate } from './answer.ts'
import { textContent, wholeContent } from './content.ts'
import type { Files } from './file.ts'
import { onward, type Maybe, orElse } from './maybe.ts'
import { type Asked, type PxelinuxKey, readName } from './name.ts'
import { checkServed, typeOf } from './path.ts'
import type { GatePlan } from './plan.ts'
import type { Presence } from './presence.ts'
import { createQuiet } from './quiet.ts'
import { createRecent } from './recent.ts'
import type { Scripts } from './script.ts'
import { createOverlayDesk } from './overlay-desk.ts'
import { renderAnswer } from './answer-file.ts'
import type { ScriptAsk, ScriptForm } from './ask.ts'
import { createPromises } from './promise.ts'
import type { FoundOverlay } from './shelf.ts'
import { isLoaderName, stepOf } from './step.ts'
import { literal, url } from './text.ts'
import { maskTicket, type Tickets } from './ticket.ts'
import { createRenderer, renderPlan, ticketSlot } from './view.ts'
import type { DoorRequest, Opened, Step, Visit } from './visit.ts'

export type Door = {
  /**
   * The bytes under this name, for this peer; at once where they are in memory. Throws or rejects with MissingError when there is nothing under
   * the name or the station is to have nothing, InputError when the request makes no sense, OutsideError when the disk fails.
   */
  readonly open: (request: DoorRequest) => Maybe<Opened>
}

export type DoorOptions = {
  readonly gate: Gate
  readonly scripts: Scripts
  readonly files: Files
  readonly loaders: LoaderLibrary
  /** Whether a loader of this name is being made: it is answered by "again in a moment", not by "there is none". */
  readonly isBeingBuilt?: (name: string) => boolean
  /** Loaders with a station's own script in them; absent: loaders are served as they are. */
  readonly stationLoaders?: StationLoaders
  /** Packed additions to the initramfs, by the path that a script names. */
  readonly additions?: Pick<Additions, 'locate'>
  /** The package server, for what is below `apk/`. */
  readonly packages?: Packages
  readonly presence: Presence
  /** Made for scripts and asked of who wants a secret overlay. Without them scripts carry none, and what is secret is nobody's. */
  readonly tickets?: Tickets
  /** `ticket`: every overlay is given as if it were secret. */
  readonly overlayAccess?: 'open' | 'ticket'
  /** Told when an overlay is out whole. */
  readonly onOverlay?: (mac: Mac, overlay: FoundOverlay) => void
  /** Was this MAC ever given secrets? Then what it saved has them too. */
  readonly hasSecrets?: (mac: Mac) => Maybe<boolean>
  /** May this be told, that the peer caused? Absent: always. */
  readonly mayTell?: (kind: EventKind, peer: string) => boolean
  readonly emit: Emit
  readonly now: () => number
}

/**
 * The mirror, for everything below `apk/`; it has its own folder, and what is missing there it may bring. `path` is below the mirror's root
 * (`v3.22/main/x86_64/APKINDEX.tar.gz`). Throws or rejects with MissingError, OutsideError.
 */
export type Packages = { readonly open: (path: string) => Maybe<Content> }

/** What ipxe/instant.ts answers: the announced loader of that name with this script in it, undefined when none is announced. */
export type StationLoaders = {
  readonly open: (name: string, script: string) => Promise<{ readonly bytes: Uint8Array; readonly sha256: string; readonly from: string } | undefined>
}

const leastAsked = 10_240

export function createDoor(options: DoorOptions): Door {
  const { gate, scripts, files, loaders, isBeingBuilt, stationLoaders, packages, tickets, overlayAccess = 'open', presence, emit, now } = options
  const quiet = createQuiet({ now })
  const render = createRenderer(scripts)
  const promises = createPromises({ files, now })
  const askedWith = createRecent<Facts>(leastAsked)
  const overlays = createOverlayDesk({
    gate,
    files,
    promises,
    tickets,
    access: overlayAccess,
    onOverlay: options.onOverlay,
    hasSecrets: options.hasSecrets,
    opened,
  })

  function open(request: DoorRequest): Maybe<Opened> {
    const asked = readName(request.name)
    const peer = request.peer.replace(/^::ffff:/, '')
    const named = 'mac' in asked ? asked.mac : undefined
    // An overlay may be fetched by an operator to look at it; the other names with a MAC are for stations.
    if (named && asked.kind !== 'overlay') presence.learn(peer, named)
    const mac = named ?? presence.find(peer)
    const ip = /^[0-9.]{7,15}$/.test(peer) ? (peer as Ipv4) : undefined
    const visit: Visit = { request, facts: cleanFacts(request.facts), mac, ip, peer, ticket: asked.ticket, startedAt: now() }
    return orElse(
      () => openAsked(asked, visit),
      (error) => {
        tellMissing(error, asked, visit, peer)
        throw error
      },
    )
  }

  function openAsked(asked: Asked, visit: Visit): Maybe<Opened> {
    if (asked.kind === 'boot') return openBootScript(visit)
    if (asked.kind === 'gpxe') return openGpxeScript(visit)
    if (asked.kind === 'station') return openScript(visit, asked.mac, asked.form ?? 'ipxe', asked.profile, '/')
    if (asked.kind === 'pxelinux' || asked.kind === 'grub') return openConfig(visit, asked)
    if (asked.kind === 'answer') return openAnswer(visit, asked)
    if (asked.kind === 'overlay') return overlays.openOwn(visit, asked.mac)
    return openFile(visit, asked.path, asked.mac)
  }

  function openBootScript(visit: Visit, shebang = 'ipxe'): Opened {
    const text = scripts.render('boot.ipxe', { shebang, base: url(visit.request.httpBase) })
    return opened(visit, textContent(text), { kind: 'script-offered' })
  }

  /**
   * For a MAC that is known that station's script, for others the default. Who asks is known by its address alone, and which card's MAC iPXE puts
   * into the overlay's URL is not: so a script with an overlay only where every MAC gets one, else the script that finds out who asks.
   */
  function openGpxeScript(visit: Visit): Maybe<Opened> {
    const { mac } = visit
    return onward(mac ? gate.plan(mac, visit.facts) : gate.planForAnybody(visit.facts), (plan) => {
      if (!plan) return openBootScript(visit, 'gpxe')
      if (plan.boot?.overlay === undefined) return openPlan(visit, plan, mac, 'gpxe')
      if (overlayAccess === 'ticket') return openBootScript(visit, 'gpxe')
      return onward(gate.isOverlayForAll(), (isForAll) => (isForAll ? openPlan(visit, plan, mac, 'gpxe') : openBootScript(visit, 'gpxe')))
    })
  }

  function openScript(visit: Visit, mac: Mac, form: ScriptForm, chosen?: string, root?: string): Maybe<Opened> {
    return onward(gate.plan(mac, visit.facts, chosen), (plan) => openPlan(visit, plan, mac, form, root))
  }

  function openPlan(visit: Visit, plan: GatePlan, mac: Mac | undefined, form: ScriptForm, root?: string): Maybe<Opened> {
    if (mac) askedWith.set(mac, visit.facts)
    const slot = tickets && mac && (plan.overlay || plan.profile.kind === 'linux') ? { ticket: ticketSlot } : {}
    const script = render(plan, { httpBase: visit.request.httpBase, form, ...(mac && { mac }), ...(root !== undefined && { root }), ...slot })
    const { profile, boots, refused } = script
    if (refused !== undefined && quiet.mayTell(`refused ${mac} ${refused}`))
      tell(visit, 'script-refused', mac, { profile: plan.profile.name, reason: refused })
    const offers = script.offers.join(',')
    const step: Step = { kind: 'script', mac, detail: { profile, boots, ...(offers && { offers }) } }
    const promised = mac && boots && plan.overlay ? promises.make(mac, plan.overlay) : undefined
    const text = (): Content => (script.fill && tickets && mac ? script.fill(tickets.issue(mac, visit.peer, profile)) : script.content)
    return onward(promised, () => opened(visit, text(), step))
  }

  /** A file of the depot goes first: it is the operator's, or PXE Pilot's link. */
  function openConfig(visit: Visit, asked: Asked & { kind: 'pxelinux' | 'grub' }): Maybe<Opened> {
    return orElse(
      () => onward(files.open(asked.path), (content) => opened(visit, content, { kind: 'script-offered' })),
      (error) => {
        const mac = error instanceof MissingError && asked.key ? findKeyMac(asked.key, visit) : undefined
        if (!mac) throw error
        return openScript(visit, mac, asked.kind, undefined, asked.kind === 'pxelinux' && asked.isAtRoot ? '' : '/')
      },
    )
  }

  /** By the plan of the script that named it: what the station told of itself then may have chosen the profile. */
  function openAnswer(visit: Visit, { mac, file, profile }: Asked & { kind: 'answer' }): Maybe<Opened> {
    return onward(gate.plan(mac, askedWith.get(mac) ?? visit.facts, profile), (plan) => {
      const ask = { httpBase: visit.request.httpBase, form: 'ipxe', mac, ...(visit.ticket && { ticket: visit.ticket }) } as const
      const text = profile === undefined || plan.profile.name === profile ? renderOrMissing(file, plan, ask) : undefined
      if (text === undefined) throw new MissingError('file-missing', `profile ${plan.profile.name} of ${mac} has no answer file ${file}`)
      return opened(visit, textContent(text), undefined)
    })
  }

  function renderOrMissing(file: string, plan: GatePlan, ask: ScriptAsk): string | undefined {
    try {
      return renderAnswer(file, plan, ask, scripts)
    } catch (error) {
      if (!(error instanceof InputError)) throw error
      throw new MissingError('script-refused', `answer file ${file} of profile ${plan.profile.name}: ${error.message}`, { cause: error })
    }
  }

  function findKeyMac(key: PxelinuxKey, visit: Visit): Mac | undefined {
    if (key.by === 'mac') return key.mac
    if (key.by === 'ip') return presence.find(key.ip)
    if (key.by === 'uuid') return gate.findStationByUuid(key.uuids)?.macs[0]
    return visit.mac
  }

  function openFile(visit: Visit, path: string, named?: Mac): Maybe<Opened> {
    if (/^configs\/.+\.gz$/i.test(path)) return overlays.openByPath(visit, path)
    // Copies and archives with other endings hold the same as the overlays beside them.
    if (overlayAccess === 'ticket' && /^configs\//i.test(path)) throw new MissingError('overlay-refused', 'its path alone opens nothing')
    const addition = options.additions?.locate(path)
    if (addition !== undefined) return onward(files.openOutside(addition), (content) => opened(visit, content, undefined))
    const loaderName = isLoaderName(path) ? path.replace(/^ipxe\//, '') : undefined
    const loader = loaderName === undefined ? undefined : (loaders.find(loaderName) ?? loaders.find(moduleOf(loaderName)))
    if (!loader && loaderName !== undefined && isBeingBuilt?.(loaderName))
      throw new OutsideError('loader-being-built', `${loaderName} is being built`, true)
    // Lore: pxelinux.0 and its modules are asked for in the same way; they have no place for a script.
    if (loader && named && stationLoaders && !/\.(0|[ce]32|e64)$/.test(path)) return openStationLoader(stationLoaders, visit, loader, named)
    if (loader) {
      const content = loader.depotPath === undefined ? files.openOutside(loader.path) : files.open(loader.depotPath)
      return onward(content, (bytes) => opened(visit, bytes, { kind: 'loader', detail: { source: loader.source } }))
    }
    const kind = stepOf(path, gate.records())
    return onward(openStored(path), (content) => opened(visit, content, kind && { kind }))
  }

  function openStored(path: string): Maybe<Content> {
    if (!packages || !path.startsWith('apk/')) return files.open(path)
    checkServed(path)
    return packages.open(path.slice(4))
  }

  /** Never another script than the station's: what cannot carry it is refused. */
  function openStationLoader(from: StationLoaders, visit: Visit, loader: Loader, mac: Mac): Maybe<Opened> {
    const name = loader.depotPath?.replace(/^ipxe\//, '') ?? ''
    return onward(gate.plan(mac, visit.facts), async (plan) => {
      // Each ticket makes another loader, which takes a while to pack: so only where the overlay is not to be had without.
      const isTicketed = plan.overlay && (plan.overlay.isSecret || overlayAccess === 'ticket')
      const ticket = tickets && isTicketed ? { ticket: tickets.issueSame(mac, visit.peer, plan.profile.name) } : {}
      const { text } = renderPlan(plan, { httpBase: visit.request.httpBase, form: 'ipxe', mac, ...ticket }, scripts)
      const script = scripts.render('loader.ipxe', { mac, script: literal(text.replace(/^#![^\n]*\n/, '').trimEnd()) })
      const made = await from.open(name, script).catch((error: unknown) => {
        if (error instanceof InputError)
          throw new MissingError(error.code, `${mac} gets no ${visit.request.name}: ${error.message}`, { cause: error })
        throw error
      })
      if (!made)
        throw new MissingError(
          'slot-missing',
          `${loader.path} was not built here and has no place for the script of ${mac} (setting loaderScript: station)`,
        )
      const content = wholeContent(made.bytes, { etag: made.sha256, type: typeOf(name) })
      return opened(visit, content, {
        kind: 'loader',
        mac,
        detail: { source: loader.source, artifact: made.from.slice(0, 12), profile: plan.profile.name },
      })
    })
  }

  function opened(visit: Visit, content: Content, step: Step | undefined): Opened {
    let isTold = false
    return {
      content,
      done: (sentBytes) => {
        if (isTold || !(visit.request.range || sentBytes >= content.sizeBytes)) return
        isTold = true
        const mac = step?.mac ?? visit.mac
        if (step?.kind === 'loader' && mac) presence.loaderFetched(mac)
        if (step) tell(visit, step.kind, mac, { ...step.detail, sizeBytes: content.sizeBytes, durationMs: Math.max(0, now() - visit.startedAt) })
      },
    }
  }

  function tell({ request, ip, peer }: Visit, kind: EventKind, mac: Mac | undefined, detail: NonNullable<BootEvent['detail']>): void {
    if (options.mayTell?.(kind, peer) === false) return
    const file = maskTicket(request.name)
      .replace(/[^ -~]+/g, '?')
      .slice(0, 200)
    emit({ at: now(), kind, ...(mac && { mac }), ...(ip && { ip }), detail: { file, via: request.via, ...detail } })
  }

  function tellMissing(error: unknown, asked: Asked, visit: Visit, peer: string): void {
    // pxelinux and GRUB ask for a dozen names in turn; only the last is worth a word.
    if (!(error instanceof MissingError) || ((asked.kind === 'pxelinux' || asked.kind === 'grub') && asked.key?.by !== 'default')) return
    const kind = refusals.find((one) => one === error.code) ?? 'file-missing'
    if (quiet.mayTell(`${kind} ${peer} ${visit.request.name}`, peer)) tell(visit, kind, visit.mac, { reason: maskTicket(error.message) })
  }

  return { open }
}

/** pxelinux asks for its modules beside itself, in whatever folder it lies. */
const moduleOf = (name: string): string => (/\.(c32|e32|e64)$/.test(name) ? name.slice(name.lastIndexOf('/') + 1) : name)

/** Codes that are the kinds of their events too. */
const refusals = ['overlay-missing', 'overlay-refused', 'script-refused'] as const

/** Lore: boards without a UUID of their own report one of zeros or ones; it must not make them one station. */
function cleanFacts({ uuid, ...facts }: Facts = {}): Facts {
  const lower = uuid?.toLowerCase()
  return lower && !/^(0|f|-)+$/.test(lower) ? { ...facts, uuid: lower } : facts
}
