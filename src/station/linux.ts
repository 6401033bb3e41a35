// Plans of kinds linux and rescue, and images of menu entries, as what a loader is told: files, lines, URLs in place of markers. Used by view and menu.
// It reads no file. What cannot stand in a script is an InputError, and the station waits.
import { fileUrl, maxLineBytes } from '../alpine/cmdline.ts'
import { formatMacHyphen } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import { fillMarkers, type FindMarker, type Image, isUrl } from '../boot/image.ts'
import type { RescueProfile } from '../boot/record.ts'
import type { ScriptAsk } from './ask.ts'
import type { GatePlan } from './plan.ts'
import { literal, type Printed, url, word } from './text.ts'

/** What the templates print. `line` of GRUB is quoted. */
export type LoadData = {
  readonly kernel: Printed
  readonly line: Printed
  readonly initrds: readonly Printed[]
  readonly modules: readonly { readonly file: Printed; readonly line: Printed }[]
}

/** The rescue boot as an image: what it fetches later comes from `fullroot=`. */
export function imageOfRescue({ kernel, initrd, fullroot, arguments: own }: RescueProfile): Image {
  const from = fullroot === undefined ? '{base}' : isUrl(fullroot) ? fullroot : `{file:${fullroot}}`
  const standard = ['root=none', 'ip=dhcp', `fullroot=${from}`].filter((one) => !own.some((other) => nameOf(other) === nameOf(one)))
  return { kernel, initrds: [initrd], modules: [], arguments: [...standard, ...own], console: [] }
}

const nameOf = (one: string): string => one.replace(/=.*$/, '')

/** The image that a plan boots, when its kind has one. */
export function imageOf({ profile }: GatePlan): Image | undefined {
  if (profile.kind === 'rescue') return imageOfRescue(profile)
  return profile.kind === 'linux' ? profile : undefined
}

/** Can this loader fetch it by itself? pxelinux has no HTTP, and neither form knows Multiboot modules as we write them. */
export const canLoad = ({ kernel, initrds, modules }: Image, form: ScriptAsk['form']): boolean =>
  form === 'ipxe' || form === 'gpxe' || (!modules.length && (form === 'grub' || ![kernel, ...initrds].some(isUrl)))

/** Files and lines for the form. Throws InputError. */
export function loadData(image: Image, plan: GatePlan, ask: ScriptAsk): LoadData {
  const file = (place: string): Printed => nameFile(place, ask)
  const find = markerFinder(plan, ask)
  return {
    kernel: file(image.kernel),
    initrds: image.initrds.map(file),
    modules: image.modules.map((one) => ({
      file: file(one.file),
      line: printLine(
        one.arguments.map((each) => fillMarkers(each, find)),
        ask,
      ),
    })),
    line: printLine(wordsOf(image, plan, ask, find), ask),
  }
}

/** A place as this loader asks for it: a URL, a TFTP name, or a path of GRUB's. */
export function nameFile(place: string, { httpBase, form, root }: ScriptAsk): Printed {
  if (form === 'grub') return word(isUrl(place) ? place.replace(/^(https?):\/\/([^/]+)/, '($1,$2)') : `/${place}`)
  if (form === 'pxelinux') return word(`${root ?? ''}${place}`)
  return url(isUrl(place) ? place : fileUrl(httpBase, place))
}

// Ours go first: what stands behind `---` is for the system that an installer installs.
function wordsOf({ arguments: own, initrds, modules, console, bootif }: Image, plan: GatePlan, ask: ScriptAsk, find: FindMarker): string[] {
  const { form, mac } = ask
  const isMultiboot = modules.length > 0
  // pxelinux adds both by itself (IPAPPEND 2, INITRD); GRUB the second.
  const ourBootif = mac && form !== 'pxelinux' && (bootif ?? !isMultiboot) ? [`BOOTIF=01-${formatMacHyphen(mac)}`] : []
  const initrd =
    form === 'grub' || form === 'pxelinux' || isMultiboot ? [] : initrds.map((place) => `initrd=${place.slice(place.lastIndexOf('/') + 1)}`)
  const free = [...own, ...(plan.station?.arguments ?? [])].map((one) => fillMarkers(one, find))
  return [...initrd, ...ourBootif, ...free, ...console.map((one) => `console=${one}`)]
}

/** The words as a line. Throws InputError `kernel-long`. */
export function printLine(words: readonly string[], { form }: Pick<ScriptAsk, 'form'>): Printed {
  for (const one of words) word(one)
  const line = words.join(' ')
  if (line.length > maxLineBytes) throw new InputError('kernel-long', `the kernel line has ${line.length} characters; a kernel takes ${maxLineBytes}`)
  return literal(form === 'grub' ? words.map((one) => `'${one}'`).join(' ') : line)
}

/** What markers stand for, for this station and boot. */
export function markerFinder(plan: GatePlan, ask: ScriptAsk): FindMarker {
  const { httpBase, mac } = ask
  const { profile } = plan
  return (kind, name) => {
    if (kind === 'base') return httpBase
    if (kind === 'server') return new URL(httpBase).hostname
    if (kind === 'mac') return mac
    if (kind === 'up') return upUrl(ask)
    if (kind === 'file' && name) return fileUrl(httpBase, name)
    if (kind === 'var' && name) return variablesOf(plan)[name]?.toString()
    return kind === 'answer' && name && profile.kind === 'linux' && Object.hasOwn(profile.answers, name) ? answerUrl(name, plan, ask) : undefined
  }
}

/** Where the system says that it is up: with the ticket of its boot where the script carries one. */
export function upUrl({ httpBase, mac, ticket }: ScriptAsk): string | undefined {
  if (!mac) return undefined
  return ticket ? `${httpBase}/t/${ticket}/up` : `${httpBase}/up/${formatMacHyphen(mac)}`
}

/** What was chosen in a menu stands in the path, for nothing else says it when the file is asked for. */
function answerUrl(name: string, plan: GatePlan, { httpBase, mac, ticket }: ScriptAsk): string | undefined {
  if (!mac) return undefined
  const chosen = plan.why.some(({ rule, held }) => rule === 'menu' && held) ? `${plan.profile.name}/` : ''
  return `${httpBase}/${ticket ? `t/${ticket}/` : ''}answers/${formatMacHyphen(mac)}/${chosen}${name}`
}

/** The profile's variables, the station's over them. */
export const variablesOf = ({ profile, station }: GatePlan): Record<string, string | number | boolean> => ({
  ...('variables' in profile ? profile.variables : {}),
  ...station?.variables,
})
