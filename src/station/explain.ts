// What one MAC would get at every step, and why: the decisions for its firmware, for iPXE, then the plan and the rendered script.
// Made by the gate; printed by the command line and the API. It asks the same functions as the doors and changes nothing.
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Client, Facts, Stage } from '../boot/client.ts'
import type { Decision } from '../boot/decide.ts'
import { MissingError } from '../boot/error.ts'
import { firmwareByArch } from '../boot/firmware.ts'
import type { Reason } from '../boot/match.ts'
import type { Records } from '../boot/record.ts'
import type { Loader, LoaderLibrary } from '../ipxe/library.ts'
import type { GatePlan } from './plan.ts'
import type { Maybe } from './maybe.ts'
import type { Scripts } from './script.ts'
import type { OverlaySearch } from './shelf.ts'
import { type RenderedScript, renderPlan } from './view.ts'

export type ExplainAsk = {
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
    | { readonly path: string; readonly from: string; readonly warnings: readonly { code: string; text: string }[] }
    | { readonly missing: string; readonly broken?: string }
}

export type ExplainerOptions = {
  readonly decide: (client: Client) => Decision
  readonly plan: (mac: Mac, facts: Facts) => Maybe<GatePlan>
  readonly findOverlay: (mac: Mac) => Maybe<OverlaySearch>
  readonly records: () => Records
  readonly loaders: LoaderLibrary
  readonly scripts: Scripts
}

const defaultArchs = [0, 7]
const defaultBase = 'http://bivouac.invalid'

export function createExplainer(options: ExplainerOptions): (mac: Mac, ask?: ExplainAsk) => Promise<Explanation> {
  return async (mac, ask = {}) => {
    const stages: readonly Stage[] = ask.stage ? [ask.stage] : ['firmware', 'ipxe', 'bivouac']
    const dhcp = stages.flatMap((stage) => (ask.archs ?? defaultArchs).map((arch) => explainDecision(options, mac, stage, arch, ask)))
    const plan = await options.plan(mac, ask.facts ?? {})
    const overlay = await options.findOverlay(mac)
    const station = options.records().stationByMac.get(mac)?.name
    return { mac, ...(station && { station }), dhcp, script: explainScript(plan, mac, ask, options.scripts), overlay: explainOverlay(overlay) }
  }
}

function explainDecision({ decide, loaders }: ExplainerOptions, mac: Mac, stage: Stage, arch: number, ask: ExplainAsk): ExplainedDecision {
  const firmware = firmwareByArch.get(arch)
  const decision = decide(clientOf(mac, stage, arch, ask))
  const loader = decision.kind === 'loader' ? loaders.find(decision.file) : undefined
  return { stage, arch, firmware: firmware?.name ?? `architecture ${arch}`, decision, ...(loader && { loader }) }
}

function clientOf(mac: Mac, stage: Stage, arch: number, ask: ExplainAsk): Client {
  const isHttpBoot = stage === 'firmware' && firmwareByArch.get(arch)?.via === 'http'
  return {
    mac,
    stage,
    archs: [arch],
    ...(ask.facts?.uuid && { uuid: ask.facts.uuid }),
    ...(isHttpBoot && { vendorClass: 'HTTPClient' }),
    isHttpBoot,
    speaksHttp: stage === 'ipxe' || stage === 'bivouac',
    arrival: {
      network: 'explain',
      mode: ask.mode ?? 'server',
      serverAddress: ask.serverAddress ?? ('0.0.0.0' as Ipv4),
      httpBase: ask.httpBase ?? defaultBase,
    },
  }
}

function explainScript(plan: GatePlan, mac: Mac, ask: ExplainAsk, scripts: Scripts): Explanation['script'] {
  const rendered = renderOrNothing(plan, mac, ask, scripts)
  return {
    name: `boot/${mac.replaceAll(':', '-')}.ipxe`,
    profile: rendered?.profile ?? plan.profile.name,
    kind: plan.profile.kind,
    boots: rendered?.boots ?? false,
    offers: rendered?.offers ?? [],
    ...(plan.boot && { files: plan.boot.files }),
    why: plan.why,
    ...(rendered?.refused !== undefined && { refused: rendered.refused }),
    ...(rendered && { text: rendered.text }),
  }
}

function renderOrNothing(plan: GatePlan, mac: Mac, ask: ExplainAsk, scripts: Scripts): RenderedScript | undefined {
  try {
    return renderPlan(plan, { httpBase: ask.httpBase ?? defaultBase, form: 'ipxe', mac }, scripts)
  } catch (error) {
    if (error instanceof MissingError) return undefined
    throw error
  }
}

function explainOverlay(overlay: OverlaySearch): Explanation['overlay'] {
  return 'path' in overlay ? { path: overlay.path, from: overlay.from, warnings: overlay.report.warnings } : overlay
}
