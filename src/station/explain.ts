// What one MAC would get at every step, and why: the decisions for its firmware, for iPXE, then the plan and the rendered script.
// Made by the gate; printed by the command line and the API. It asks the same functions as the doors and changes nothing.
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Client, Facts, Stage } from '../boot/client.ts'
import type { Decision } from '../boot/decide.ts'
import { MissingError } from '../boot/error.ts'
import { findQuirkMiss, firmwareByArch } from '../boot/firmware.ts'
import { butNot, type Reason } from '../boot/match.ts'
import type { Records, Site, Station } from '../boot/record.ts'
import type { Loader, LoaderLibrary } from '../ipxe/library.ts'
import type { GatePlan } from './plan.ts'
import type { Maybe } from './maybe.ts'
import { explainRepositories } from './repository.ts'
import type { Scripts } from './script.ts'
import { type FoundOverlay, listOverlayPlaces, type OverlaySearch } from './shelf.ts'
import { type RenderedScript, renderPlan } from './view.ts'

/** On which network a station would ask, as far as the configuration and its leases tell. */
export type StationPlace = {
  readonly network: string
  readonly mode: 'server' | 'proxy'
  /** Ours there, and what URLs begin with; absent when they are not known. */
  readonly serverAddress?: Ipv4
  readonly httpBase?: string
  /** The address that it holds there. */
  readonly leaseIp?: Ipv4
}

export type ExplainAsk = {
  /** The network to ask on; absent: that of its record's address, else of its lease, else the first. */
  readonly network?: string
  /** Option 93 codes to ask for; BIOS and x86-64 UEFI when absent. */
  readonly archs?: readonly number[]
  /** Only this asker; all of firmware, ipxe, bivouac when absent. */
  readonly stage?: Stage
  readonly facts?: Facts
  readonly httpBase?: string
  readonly serverAddress?: Ipv4
  readonly mode?: 'server' | 'proxy'
}

/** What DHCP would answer to one asker. */
export type ExplainedDecision = {
  readonly stage: Stage
  readonly arch: number
  readonly firmware: string
  readonly decision: Decision
  /** Where the loader's file comes from. */
  readonly loader?: Loader
}

/** Plain values only: it goes out as JSON. */
export type Explanation = {
  readonly mac: Mac
  readonly station?: string
  /** Absent when DHCP is off. */
  readonly place?: StationPlace
  readonly dhcp: readonly ExplainedDecision[]
  readonly script: {
    readonly name: string
    readonly profile: string
    readonly kind: string
    readonly boots: boolean
    readonly offers: readonly string[]
    readonly files?: object
    readonly why: readonly Reason[]
    readonly refused?: string
    /** Absent for profile kind ignore. */
    readonly text?: string
  }
  /** What `configs/<mac>.tar.gz` gives. */
  readonly overlay:
    | {
        readonly path: string
        readonly from: string
        readonly warnings: readonly { code: string; text: string }[]
        /** Of a composed one: its layers, the lowest first, and its SHA-256. */
        readonly layers?: readonly string[]
        readonly digest?: string
        /** An operator went back to this version: it is not what the layers say now. */
        readonly pinned?: FoundOverlay['pinned']
        /** Given only with the ticket of a boot. */
        readonly isSecret: boolean
        /** More exact places, where there is none. */
        readonly passed: readonly string[]
      }
    | { readonly missing: string; readonly broken?: string }
}

export type ExplainerOptions = {
  readonly decide: (client: Client) => Decision
  readonly plan: (mac: Mac, facts: Facts) => Maybe<GatePlan>
  readonly findOverlay: (mac: Mac) => Maybe<OverlaySearch>
  readonly records: () => Records
  readonly site: () => Site
  readonly loaders: LoaderLibrary
  readonly scripts: Scripts
  /** Do scripts carry tickets? A word stands in its place then. */
  readonly hasTickets: boolean
  /** Throws InputError for a network that is not there. Absent: no network is known. */
  readonly findPlace?: PlaceFinder
}

export type PlaceFinder = (mac: Mac, station: Station | undefined, network: string | undefined) => StationPlace | undefined

const defaultArchs = [0, 7]
const defaultBase = 'http://bivouac.invalid'

export function createExplainer(options: ExplainerOptions): (mac: Mac, ask?: ExplainAsk) => Promise<Explanation> {
  return async (mac, given = {}) => {
    const record = options.records().stationByMac.get(mac)
    const place = options.findPlace?.(mac, record, given.network)
    const ask = { ...given, ...placeForAsk(place, given) }
    const stages: readonly Stage[] = ask.stage ? [ask.stage] : ['firmware', 'ipxe', 'bivouac']
    const dhcp = stages.flatMap((stage) => (ask.archs ?? defaultArchs).map((arch) => explainDecision(options, mac, stage, arch, ask)))
    const plan = await options.plan(mac, ask.facts ?? {})
    const overlay = plan.overlay ?? (await options.findOverlay(mac))
    return {
      mac,
      ...(record && { station: record.name }),
      ...(place && { place }),
      dhcp,
      script: explainScript(plan, mac, ask, options),
      overlay: explainOverlay(overlay, mac, record),
    }
  }
}

/** What the place says goes before the address under which the question itself came; a mode that was asked for goes before both. */
function placeForAsk(place: StationPlace | undefined, { mode }: ExplainAsk): ExplainAsk {
  if (!place) return {}
  const { network, serverAddress, httpBase } = place
  return { network, mode: mode ?? place.mode, ...(serverAddress && { serverAddress }), ...(httpBase && { httpBase }) }
}

function explainDecision(options: ExplainerOptions, mac: Mac, stage: Stage, arch: number, ask: ExplainAsk): ExplainedDecision {
  const { decide, loaders } = options
  const firmware = firmwareByArch.get(arch)
  const client = clientOf(mac, stage, arch, ask)
  const decided = decide(client)
  const decision = decided.kind === 'loader' ? { ...decided, why: [...decided.why, ...explainQuirks(options.site(), client, arch)] } : decided
  const loader = decision.kind === 'loader' ? loaders.find(decision.file) : undefined
  return { stage, arch, firmware: firmware?.name ?? `architecture ${arch}`, decision, ...(loader && { loader }) }
}

/** The quirks that were looked at and do not hold. */
function explainQuirks({ quirks }: Site, { mac, vendorClass }: Client, arch: number): Reason[] {
  const misses = quirks.map(({ name, when }) => ({ name, miss: findQuirkMiss(when, mac, vendorClass, arch) }))
  const winner = misses.findIndex(({ miss }) => miss === undefined)
  return misses.slice(0, winner < 0 ? undefined : winner).map(({ name, miss }) => butNot('quirk', `rule ${name} ${miss}`))
}

/** As firmware of this kind words it, up to what differs from maker to maker (PXE 2.1, table 2-1; UEFI 2.10, section 24.7.2). */
const vendorClassOf = (arch: number): string =>
  `${firmwareByArch.get(arch)?.via === 'http' ? 'HTTPClient' : 'PXEClient'}:Arch:${String(arch).padStart(5, '0')}:UNDI:003016`

function clientOf(mac: Mac, stage: Stage, arch: number, ask: ExplainAsk): Client {
  const isHttpBoot = stage === 'firmware' && firmwareByArch.get(arch)?.via === 'http'
  return {
    mac,
    stage,
    archs: [arch],
    ...(ask.facts?.uuid && { uuid: ask.facts.uuid }),
    ...(stage !== 'system' && { vendorClass: vendorClassOf(arch) }),
    isHttpBoot,
    speaksHttp: stage === 'ipxe' || stage === 'bivouac',
    arrival: {
      network: ask.network ?? 'explain',
      mode: ask.mode ?? 'server',
      serverAddress: ask.serverAddress ?? ('0.0.0.0' as Ipv4),
      httpBase: ask.httpBase ?? defaultBase,
    },
  }
}

function explainScript(plan: GatePlan, mac: Mac, ask: ExplainAsk, options: ExplainerOptions): Explanation['script'] {
  const rendered = renderOrNothing(plan, mac, ask, options)
  return {
    name: `boot/${mac.replaceAll(':', '-')}.ipxe`,
    profile: rendered?.profile ?? plan.profile.name,
    kind: plan.profile.kind,
    boots: rendered?.boots ?? false,
    offers: rendered?.offers ?? [],
    ...(plan.boot && { files: plan.boot.files }),
    why: [...plan.why, ...explainRepositories(plan.boot)],
    ...(rendered?.refused !== undefined && { refused: rendered.refused }),
    ...(rendered && { text: rendered.text }),
  }
}

function renderOrNothing(plan: GatePlan, mac: Mac, ask: ExplainAsk, { scripts, hasTickets }: ExplainerOptions): RenderedScript | undefined {
  try {
    return renderPlan(plan, { httpBase: ask.httpBase ?? defaultBase, form: 'ipxe', mac, ...(hasTickets && { ticket: 'TICKET' }) }, scripts)
  } catch (error) {
    if (error instanceof MissingError) return undefined
    throw error
  }
}

function explainOverlay(overlay: OverlaySearch, mac: Mac, station: Station | undefined): Explanation['overlay'] {
  if (!('path' in overlay)) return { missing: overlay.missing, ...(overlay.broken !== undefined && { broken: overlay.broken }) }
  const { path, from, report, layers, digest, pinned, isSecret = false } = overlay
  const places = listOverlayPlaces(mac, station)
  return {
    path,
    from,
    warnings: report.warnings,
    ...(layers && { layers }),
    ...(digest !== undefined && { digest }),
    ...(pinned && { pinned }),
    isSecret,
    passed: places.filter((one) => order.indexOf(one.from) < order.indexOf(from)).map((one) => one.path),
  }
}

const order = ['station', 'group', 'default']
