// From a plan to a script's text: which template, what it is told, and what the station will do next. Used by the door and explain.
import { buildKernelLine, fileUrl } from '../alpine/cmdline.ts'
import { formatMacHyphen } from '../boot/address.ts'
import type { Content } from '../boot/content.ts'
import { InputError, MissingError } from '../boot/error.ts'
import type { BootStep } from '../boot/event.ts'
import { checkAnswers } from './answer-file.ts'
import type { ScriptAsk, ScriptForm } from './ask.ts'
import { textContent, wholeContent } from './content.ts'
import { canLoad, imageOf, loadData, nameFile } from './linux.ts'
import { menuData } from './menu.ts'
import type { GatePlan } from './plan.ts'
import { repositoriesOf, repositoryUrl } from './repository.ts'
import type { Scripts } from './script.ts'
import { literal, plain, type Printed, url, word } from './text.ts'

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
  const isAlpine = profile.kind === 'alpine' && boot !== undefined
  checkAnswers(plan, ask, scripts)
  const data = { ...commonData(plan, ask), ...kindData(plan, ask, scripts) }
  const text = scripts.render(templateOf(plan, ask.form), data)
  return { text, profile: profile.name, boots: isAlpine || callsBack(plan), offers: isAlpine ? offersOf(plan) : [] }
}

/** Of an installer without a call-back nothing is heard, so nothing is waited for. */
const callsBack = ({ profile }: GatePlan): boolean =>
  profile.kind === 'linux' && (Object.keys(profile.answers).length > 0 || profile.arguments.some((one) => one.includes('{up}')))

/** What a loader that is no iPXE does: boot an image, show a menu, start the disk, or hand over to iPXE. */
type Mode = 'linux' | 'menu' | 'local' | 'ipxe'

function modeOf(plan: GatePlan, form: ScriptForm): Mode {
  const { kind } = plan.profile
  if (kind === 'alpine') return plan.boot ? 'linux' : 'local'
  if (kind === 'menu') return 'menu'
  const image = imageOf(plan)
  if (image) return canLoad(image, form) ? 'linux' : 'ipxe'
  return kind === 'local' || kind === 'wait' ? 'local' : 'ipxe'
}

function kindData(plan: GatePlan, ask: ScriptAsk, scripts: Scripts): object {
  const { profile, boot } = plan
  const image = imageOf(plan)
  const mode = modeOf(plan, ask.form)
  if (profile.kind === 'alpine' && boot) return { mode, ...bootData(plan, ask, scripts) }
  if (profile.kind === 'menu') return { mode, ...menuData(plan, ask) }
  if (profile.kind === 'chain') return { mode, target: nameFile(profile.target, { ...ask, form: 'ipxe' }) }
  return { mode, ...(image && canLoad(image, ask.form) && loadData(image, plan, ask)) }
}

function templateOf(plan: GatePlan, form: ScriptForm): string {
  const { profile } = plan
  if (form === 'pxelinux' || form === 'grub') return form
  const own = 'template' in profile ? profile.template : undefined
  if (profile.kind === 'alpine') return form === 'gpxe' ? 'gpxe-script' : (own ?? 'station.ipxe')
  return own ?? (profile.kind === 'rescue' ? 'linux.ipxe' : `${profile.kind}.ipxe`)
}

function commonData(plan: GatePlan, ask: ScriptAsk): object {
  const { httpBase, form, mac } = ask
  return {
    shebang: form === 'gpxe' ? 'gpxe' : 'ipxe',
    base: url(httpBase),
    mac,
    profile: plan.profile.name,
    station: plan.station?.name,
    hostname: plan.station?.hostname ?? plan.station?.name,
    group: plan.station?.group,
    reason: plain(explainPlan(plan)),
    again: url(againUrl(plan, ask)),
    sleepSeconds: waitSeconds,
    // For templates of the operator's: what a plain value may not hold.
    word,
    url,
    plain,
    line: undefined,
    /** For loaders that hand over to iPXE, on a BIOS. */
    lkrn: nameFile('ipxe.lkrn', ask),
    root: ask.root ?? '',
  }
}

/** Where this script is to be had again: that of the choice in a menu, for a loader that hands over to iPXE. */
function againUrl({ profile, why }: GatePlan, { httpBase, form, mac }: ScriptAsk): string {
  if (!mac) return `${httpBase}/boot.ipxe`
  const isChosen = (form === 'pxelinux' || form === 'grub') && why.some(({ rule, held }) => rule === 'menu' && held)
  return `${httpBase}/boot/${formatMacHyphen(mac)}${isChosen ? `/${profile.name}` : ''}.ipxe`
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
  const name = (path: string): Printed => nameFile(path, ask)
  const additions = (plan.additions ?? []).map(({ path }) => name(path))
  const line = kernelLine(plan, ask, scripts.packagesBase?.(ask.httpBase))
  return {
    kernel: name(files.kernel),
    initramfs: name(files.initramfs),
    additions,
    initrds: [name(files.initramfs), ...additions],
    line: literal(ask.form === 'grub' ? line.replace(/[^ ]+/g, "'$&'") : line),
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
      // pxelinux adds both by itself (IPAPPEND 2, INITRD); GRUB the second.
      ...(form !== 'pxelinux' && bootif && { bootif }),
      ...(form !== 'pxelinux' && form !== 'grub' && { initrd: [files.initramfs, ...added].map((path) => path.slice(path.lastIndexOf('/') + 1)) }),
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
