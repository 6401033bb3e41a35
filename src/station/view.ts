// From a plan to a script's text: which template, what it is told, and what the station will do next. Used by the door and explain.
import { buildKernelLine, fileUrl } from '../alpine/cmdline.ts'
import { formatMacHyphen, type Mac } from '../boot/address.ts'
import type { Content } from '../boot/content.ts'
import { InputError, MissingError } from '../boot/error.ts'
import type { BootStep } from '../boot/event.ts'
import { textContent, wholeContent } from './content.ts'
import type { GatePlan } from './plan.ts'
import { repositoriesOf, repositoryUrl } from './repository.ts'
import type { Scripts } from './script.ts'
import { literal, plain, url, word } from './text.ts'

/**
 * `ipxe`: boot/<mac>.ipxe. `gpxe`: the owner's gpxe-script, whose MAC the station's iPXE fills in. `pxelinux`: a pxelinux configuration;
 * its paths are TFTP names that begin with `root`.
 */
export type ScriptForm = 'ipxe' | 'gpxe' | 'pxelinux'

export type ScriptAsk = {
  readonly httpBase: string
  readonly form: ScriptForm
  readonly mac?: Mac
  readonly root?: string
  /** Stands in the overlay's URL; only where we know whose script it is. */
  readonly ticket?: string
}

export type RenderedScript = {
  readonly text: string
  readonly profile: string
  /** Does it lead to a running system that we hear of? */
  readonly boots: boolean
  /** Steps that must come because the script asks for them; progress knows the rest. */
  readonly offers: readonly BootStep[]
  /** Why it is not the plan's script but one that waits. */
  readonly refused?: string
}

export type Rendered = Omit<RenderedScript, 'text'> & {
  readonly content: Content
  /** Where it has a place for a ticket: the same with this one in it. */
  readonly fill?: (ticket: string) => Content
}

/** What stands in a remembered script in the place of each boot's ticket. */
export const ticketSlot = 'TICKET'.repeat(8)

/** As renderPlan, with the text as Content; the same plan asked for in the same way is rendered once. */
export function createRenderer(scripts: Scripts): (plan: GatePlan, ask: ScriptAsk) => Rendered {
  const known = new WeakMap<GatePlan, { readonly key: string; readonly rendered: Rendered }>()
  return (plan, ask) => {
    const key = `${scripts.generation()} ${ask.form} ${ask.httpBase} ${ask.mac} ${ask.root} ${ask.ticket}`
    const before = known.get(plan)
    if (before?.key === key) return before.rendered
    const { text, ...about } = renderPlan(plan, ask, scripts)
    const content = textContent(text)
    const rendered = { ...about, content, ...(text.includes(ticketSlot) && { fill: createFill(text, content) }) }
    known.set(plan, { key, rendered })
    return rendered
  }
}

/** Rendering costs a tenth of a millisecond, filling in a microsecond. */
function createFill(text: string, { type, etag }: Content): (ticket: string) => Content {
  const parts = text.split(ticketSlot)
  return (ticket) => wholeContent(Buffer.from(parts.join(ticket)), { type, etag: `${etag}-${ticket.slice(0, 10)}` })
}

/** How long a waiting station sleeps before it asks again. */
const waitSeconds = 15
const menuTimeoutMs = 30_000

/** Never fails for what is in a record: a script that cannot be rendered becomes one that waits and says why. Throws MissingError for kind ignore. */
export function renderPlan(plan: GatePlan, ask: ScriptAsk, scripts: Scripts): RenderedScript {
  if (plan.profile.kind === 'ignore') throw new MissingError('script-refused', 'profile kind ignore: there is no script')
  try {
    return render(plan, ask, scripts)
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    const reason = `profile ${plan.profile.name}: ${error.message}`
    const { text } = render({ ...plan, profile: { name: 'wait', kind: 'wait' }, why: [{ rule: 'script', held: false, text: reason }] }, ask, scripts)
    return { text, profile: 'wait', boots: false, offers: [], refused: reason }
  }
}

function render(plan: GatePlan, ask: ScriptAsk, scripts: Scripts): RenderedScript {
  const { profile, boot } = plan
  const isBoot = profile.kind === 'alpine' && boot !== undefined
  const template = ask.form === 'pxelinux' ? 'pxelinux' : templateOf(plan, ask.form)
  const data = { ...commonData(plan, ask), ...(isBoot ? bootData(plan, ask, scripts) : profile.kind === 'menu' ? menuData(plan, ask) : {}) }
  return { text: scripts.render(template, data), profile: profile.name, boots: isBoot, offers: isBoot ? offersOf(plan) : [] }
}

function templateOf({ profile }: GatePlan, form: ScriptForm): string {
  const own = 'template' in profile ? profile.template : undefined
  if (profile.kind === 'alpine') return form === 'gpxe' ? 'gpxe-script' : (own ?? 'station.ipxe')
  return own ?? `${profile.kind}.ipxe`
}

function commonData(plan: GatePlan, { httpBase, form, mac }: ScriptAsk): object {
  return {
    shebang: form === 'gpxe' ? 'gpxe' : 'ipxe',
    base: url(httpBase),
    mac,
    profile: plan.profile.name,
    station: plan.station?.name,
    hostname: plan.station?.hostname ?? plan.station?.name,
    group: plan.station?.group,
    reason: plain(explainPlan(plan)),
    again: url(`${httpBase}/${mac ? `boot/${formatMacHyphen(mac)}.ipxe` : 'boot.ipxe'}`),
    sleepSeconds: waitSeconds,
    // For templates of the operator's: what a plain value may not hold.
    word,
    url,
    plain,
    line: undefined,
  }
}

/** The rule that was decisive, for the station's screen. */
function explainPlan({ profile, why }: GatePlan): string {
  if (profile.kind !== 'wait') return `profile ${profile.name}, kind ${profile.kind}`
  const lost = why.findLast(({ rule, held }) => !held && rule !== 'station' && rule !== 'match' && rule !== 'menu')
  const unknown = why.find(({ rule, held }) => rule === 'station' && !held)
  if (lost) return lost.text
  return unknown ? `${unknown.text}; a file stations/NAME.yaml makes it known` : 'its profile says: wait'
}

function bootData(plan: GatePlan, ask: ScriptAsk, scripts: Scripts): object {
  const files = plan.boot?.files ?? { kernel: '', initramfs: '' }
  const isTftp = ask.form === 'pxelinux'
  const name = (path: string): unknown => (isTftp ? word(`${ask.root ?? ''}${path}`) : url(fileUrl(ask.httpBase, path)))
  const additions = (plan.additions ?? []).map(({ path }) => name(path))
  return {
    kernel: name(files.kernel),
    initramfs: name(files.initramfs),
    additions,
    line: literal(kernelLine(plan, ask, scripts.packagesBase?.(ask.httpBase))),
  }
}

function kernelLine(plan: GatePlan, { httpBase, form, mac, root = '', ticket }: ScriptAsk, packagesBase = `${httpBase}/apk`): string {
  const { boot, station, hasSshKeys } = plan
  if (!boot) return ''
  const { profile, files } = boot
  const added = (plan.additions ?? []).map(({ path }) => path)
  // In the path and not behind a question mark: up to Alpine 3.18 the init takes the query for a part of the file's name.
  const folder = `${httpBase}/${ticket && mac && form !== 'gpxe' ? `t/${ticket}/` : ''}configs`
  const overlay = form === 'gpxe' ? { folder } : mac && `${folder}/${formatMacHyphen(mac)}.tar.gz`
  const bootif = form === 'gpxe' ? 'net0' : mac
  return buildKernelLine(
    {
      ...(boot.overlay !== undefined && overlay && { overlay }),
      ...(profile.sshKeys && hasSshKeys && { sshKey: fileUrl(httpBase, 'sshkeys.pub') }),
      ...(files.modloop && { modloop: fileUrl(httpBase, files.modloop) }),
      modules: profile.modules,
      ...(profile.alpineDev && { alpineDev: profile.alpineDev }),
      repositories: repositoriesOf(boot).map((place) => repositoryUrl(place, httpBase, packagesBase)),
      ...(files.branch && { branch: files.branch }),
      // pxelinux adds both by itself (IPAPPEND 2, INITRD).
      ...(form !== 'pxelinux' && {
        ...(bootif && { bootif }),
        initrd: [files.initramfs, ...added].map((path) => path.slice(path.lastIndexOf('/') + 1)),
      }),
      omit: profile.omit,
      arguments: [...profile.arguments, ...(station?.arguments ?? [])],
    },
    form === 'pxelinux'
      ? `BOOT_IMAGE= initrd= BOOTIF=01-52-54-00-12-34-56${root}${root}${files.kernel}${files.initramfs}${added.map((path) => `,${root}${path}`).join('')}`
          .length + 8
      : 0,
  )
}

/** Beside an overlay with runlevels of its own nobody fetches the keys, and the modloop only if a runlevel has that service. */
function offersOf({ boot, overlay, hasSshKeys }: GatePlan): BootStep[] {
  if (!boot) return []
  const hasDefaults = !overlay || overlay.report.hasDefaultServices
  const hasModloop = hasDefaults || overlay.report.services.some((service) => service.endsWith('/modloop'))
  return [
    ...(overlay ? (['overlay'] as const) : []),
    ...(boot.files.modloop && hasModloop && !boot.profile.omit.includes('modloop') ? (['modloop'] as const) : []),
    ...(boot.profile.sshKeys && hasSshKeys && hasDefaults && !boot.profile.omit.includes('ssh_key') ? (['ssh-keys'] as const) : []),
  ]
}

function menuData(plan: GatePlan, { httpBase, mac }: ScriptAsk): object {
  const folder = mac ? `${httpBase}/boot/${formatMacHyphen(mac)}` : httpBase
  const items = mac ? plan.menu.map((name, index) => ({ key: `item${index}`, text: plain(name), url: url(`${folder}/${name}.ipxe`) })) : []
  return { items, timeoutMs: menuTimeoutMs }
}
