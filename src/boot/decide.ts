// The decision: one client and the records in, what it gets and why out. Every door and `explain` use these two functions.
// Pure: no socket, file, clock or chance.
import { formatMacHyphen, type Ipv4 } from './address.ts'
import type { Client, Facts } from './client.ts'
import { type Firmware, findQuirk, firmwareByArch, type OfferForm } from './firmware.ts'
import { because, butNot, type Choice, chooseProfile, type Reason } from './match.ts'
import type { AlpineProfile, Profile, Records, Release, Site } from './record.ts'
import { reserve } from './reserve.ts'

/** Which address the client is to have: its record's, any of the pool, or none of ours (proxy mode). */
export type AddressChoice = { readonly from: 'record'; readonly ip: Ipv4 } | { readonly from: 'pool' } | { readonly from: 'elsewhere' }

/** What a DHCP client gets. `lease` is an address and nothing to boot, `ignore` (in proxy mode) nothing at all; `trouble` tells what an operator should mend. The lease itself is made by dhcp/leases. */
export type Decision =
  | { readonly kind: 'ignore'; readonly why: readonly Reason[]; readonly trouble?: string }
  | {
      readonly kind: 'lease'
      readonly address: AddressChoice
      readonly hostname?: string
      readonly leaseSeconds?: number
      readonly why: readonly Reason[]
      readonly trouble?: string
    }
  | {
      readonly kind: 'loader'
      readonly address: AddressChoice
      readonly hostname?: string
      readonly leaseSeconds?: number
      readonly arch: number
      readonly via: Firmware['via']
      /** Its name in the library. */
      readonly file: string
      /** What to ask for by TFTP: the name, in proxy mode below a folder that is the MAC, for nothing else would tell us who asks. */
      readonly path: string
      readonly url: string
      readonly offer: OfferForm
      readonly why: readonly Reason[]
    }
  | {
      readonly kind: 'script'
      readonly address: AddressChoice
      readonly hostname?: string
      readonly leaseSeconds?: number
      readonly url: string
      readonly profile: string
      readonly why: readonly Reason[]
    }

/** What decide must know of the world besides the records. */
export type Surroundings = {
  readonly site: Site
  readonly records: Records
  /** Does the loader library have this name? */
  readonly hasLoader: (file: string) => boolean
  /** Milliseconds since this MAC last finished fetching a loader from us; undefined if it has not. */
  readonly sinceLoaderMs: number | undefined
}

/** How long after a loader went out an iPXE of that MAC is taken for it: a distribution's loader cannot say that it is ours. */
export const loaderMemoryMs = 120_000

/** What this DHCP client gets. */
export function decide(client: Client, around: Surroundings): Decision {
  const chosen = chooseProfile(client.mac, { ...(client.uuid && { uuid: client.uuid }) }, around.records, around.site)
  const isProxy = client.arrival.mode === 'proxy'
  const reserved = reserve(client, chosen.station, around.records)
  const choice = { ...chosen, why: [...chosen.why, ...reserved.why] }
  if (reserved.isIgnored) return { kind: 'ignore', why: choice.why }
  const base = {
    address: chooseAddress(reserved.address, isProxy),
    ...(reserved.hostname !== undefined && { hostname: reserved.hostname }),
    ...(reserved.leaseSeconds !== undefined && { leaseSeconds: reserved.leaseSeconds }),
  }
  const nothing = (why: Reason[], trouble?: string): Decision => ({
    ...(isProxy ? { kind: 'ignore' } : { kind: 'lease', ...base }),
    why: [...choice.why, ...why],
    ...(trouble && { trouble }),
  })

  if (client.stage === 'system') return nothing([because('stage', 'no boot client: an address only')])
  if (choice.profile.kind === 'ignore') return nothing([because('profile', 'profile kind ignore: nothing to boot')])
  const scripted = wantsScript(client, around)
  if (scripted.held) {
    return { kind: 'script', ...base, url: `${client.arrival.httpBase}/boot.ipxe`, profile: choice.profile.name, why: [...choice.why, scripted] }
  }
  return offerLoader(client, around, base, [...choice.why, scripted], nothing)
}

function chooseAddress(ip: Ipv4 | undefined, isProxy: boolean): AddressChoice {
  if (isProxy) return { from: 'elsewhere' }
  return ip ? { from: 'record', ip } : { from: 'pool' }
}

/** Our own loader gets the script; a foreign iPXE by the site's setting, unless it has just come from the loader that we gave it. */
function wantsScript(client: Client, { site, sinceLoaderMs }: Surroundings): Reason {
  if (client.stage === 'firmware') return butNot('script', 'firmware, not iPXE: it needs a loader first')
  if (client.stage === 'bivouac') return because('script', 'our own iPXE (user class bivouac): the script, never the loader again')
  if (sinceLoaderMs !== undefined && sinceLoaderMs < loaderMemoryMs) {
    return because('script', `an iPXE that fetched our loader ${Math.round(sinceLoaderMs / 1000)} s ago: the script, never the loader again`)
  }
  if (!client.speaksHttp) return butNot('script', 'a foreign iPXE without HTTP: it needs our loader first')
  if (site.foreignIpxe === 'script') return because('script', 'a foreign iPXE that speaks HTTP (setting foreignIpxe: script)')
  return butNot('script', 'a foreign iPXE, and the setting foreignIpxe is loader')
}

function offerLoader(
  client: Client,
  around: Surroundings,
  base: { address: AddressChoice; hostname?: string; leaseSeconds?: number },
  why: Reason[],
  nothing: (why: Reason[], trouble?: string) => Decision,
): Decision {
  const arch = client.archs.find((code) => firmwareByArch.has(code))
  const firmware = arch === undefined ? undefined : firmwareByArch.get(arch)
  if (arch === undefined || !firmware) {
    const told = client.archs.length ? `architecture ${client.archs.join(', ')} (option 93) is not known` : 'option 93 is absent'
    return nothing([butNot('arch', told)], told)
  }
  const quirk = findQuirk(around.site.quirks, client.mac, client.vendorClass, arch)
  const file = quirk?.loader ?? around.site.loaders.get(arch) ?? firmware.loader
  if (file === undefined || !around.hasLoader(file)) {
    const trouble = `no loader${file ? ` ${file}` : ''} for ${firmware.name}; put it in the depot below ipxe/ or install the distribution's ipxe package`
    return nothing([because('arch', `option 93 is ${arch}: ${firmware.name}`), butNot('loader', trouble)], trouble)
  }
  const asker = client.arrival.mode === 'proxy' ? `${formatMacHyphen(client.mac)}/` : ''
  const reasons = [
    because('arch', `option 93 is ${arch}: ${firmware.name}`),
    ...(quirk ? [because('quirk', `rule ${quirk.name}`)] : []),
    because('loader', `${file} by ${firmware.via.toUpperCase()}`),
  ]
  return {
    kind: 'loader',
    ...base,
    arch,
    via: firmware.via,
    file,
    path: `${asker}${file}`,
    url: `${client.arrival.httpBase}/${asker}ipxe/${file}`,
    offer: quirk?.offer ?? offerForm(client, firmware),
    why: [...why.filter((reason) => reason.rule !== 'arch'), ...reasons],
  }
}

// Lore: BIOS ROMs beside another DHCP server boot from the offer only with discovery control 8; some UEFI drop such offers and
// want to ask on port 4011 (Pixiecore's field rule; iPXE ROM and edk2 tried). HTTP Boot takes a complete proxy offer.
function offerForm(client: Client, firmware: Firmware): OfferForm {
  if (client.arrival.mode === 'server' || firmware.via === 'http') return 'complete'
  return firmware.name.includes('BIOS') ? 'bypass' : 'ask4011'
}

/** The files of one boot, as paths below the depot. */
export type BootFiles = {
  readonly kernel: string
  readonly initramfs: string
  readonly modloop?: string
  readonly flavour: string
  readonly releaseId?: string
  /** What the release's manifest says. */
  readonly branch?: string
  readonly repositories?: readonly string[]
}

/** What the script route renders. `boot` is what profile kind alpine needs; the other kinds need none. */
export type ScriptPlan = Choice & { readonly boot?: { readonly profile: AlpineProfile; readonly files: BootFiles; readonly overlay?: string } }

/** The overlay that can be served to a station that boots this profile (`configs/…` path), or why there is none. Asked only when a profile wants one. */
export type FindOverlay = (choice: Choice, profile: AlpineProfile) => { readonly path: string } | { readonly missing: string }

/** What a station's script does. A profile that cannot be carried out whole is replaced by the site's `withoutOverlay` or by waiting. */
export function planScript(mac: Client['mac'], facts: Facts, around: Pick<Surroundings, 'site' | 'records'>, findOverlay: FindOverlay): ScriptPlan {
  return planChoice(chooseProfile(mac, facts, around.records, around.site), facts, around, findOverlay)
}

/** As planScript, for a profile that is chosen already: by the person at the station's menu. */
export function planChoice(choice: Choice, facts: Facts, around: Pick<Surroundings, 'site' | 'records'>, findOverlay: FindOverlay): ScriptPlan {
  const first = planProfile(choice, choice.profile, facts, around.records, findOverlay)
  if (!('refused' in first)) return first
  const name = first.refused.rule === 'overlay' ? around.site.withoutOverlay : 'wait'
  const substitute: Profile = around.records.profiles.get(name) ?? { name: 'wait', kind: 'wait' }
  const why = [...choice.why, first.refused, because('instead', `${substitute.name} in place of ${choice.profile.name}`)]
  const second = planProfile({ ...choice, why }, substitute, facts, around.records, findOverlay)
  return 'refused' in second ? { ...choice, profile: { name: 'wait', kind: 'wait' }, why: [...why, second.refused] } : second
}

function planProfile(choice: Choice, profile: Profile, facts: Facts, records: Records, findOverlay: FindOverlay): ScriptPlan | { refused: Reason } {
  if (profile.kind !== 'alpine') return { ...choice, profile }
  const files = findBootFiles(profile, facts, records)
  if ('missing' in files) return { refused: butNot('release', files.missing) }
  const reasons = [...choice.why, because('release', `${files.kernel}, ${files.initramfs}${files.modloop ? `, ${files.modloop}` : ''}`)]
  if (profile.overlay === 'none')
    return { ...choice, profile, why: [...reasons, because('overlay', 'the profile says none: a bare Alpine')], boot: { profile, files } }
  const overlay = findOverlay(choice, profile)
  if ('missing' in overlay) return { refused: butNot('overlay', overlay.missing) }
  return { ...choice, profile, why: [...reasons, because('overlay', overlay.path)], boot: { profile, files, overlay: overlay.path } }
}

/** The profile's own files, or its release, or the only release that fits the station's architecture. */
export function findBootFiles(profile: AlpineProfile, facts: Facts, records: Records): BootFiles | { missing: string } {
  if (profile.kernel !== undefined && profile.initramfs !== undefined) {
    return {
      kernel: profile.kernel,
      initramfs: profile.initramfs,
      ...(profile.modloop && { modloop: profile.modloop }),
      flavour: flavourOf(profile.kernel),
    }
  }
  const fitting =
    profile.release === undefined
      ? records.releases.filter((release) => !release.arch || !facts.buildarch || archMatches(release.arch, facts.buildarch))
      : records.releases.filter((release) => release.id === profile.release)
  const [release, ...others] = fitting
  if (!release)
    return {
      missing: profile.release ? `release ${profile.release} is not in the depot` : 'the depot has no release that fits; see docs/first-station.md',
    }
  if (others.length)
    return { missing: `profile ${profile.name} names no release and the depot has ${fitting.length}: ${fitting.map(({ id }) => id).join(', ')}` }
  return bootFilesOf(release)
}

const bootFilesOf = ({ id, kernel, initramfs, modloop, flavour, branch, repositories }: Release): BootFiles => ({
  kernel,
  initramfs,
  ...(modloop && { modloop }),
  flavour,
  releaseId: id,
  ...(branch && { branch }),
  ...(repositories && { repositories }),
})

const flavourOf = (kernel: string): string => kernel.slice(kernel.lastIndexOf('/') + 1).replace(/^vmlinuz-?/, '')

// iPXE's ${buildarch} → Alpine's names. A BIOS iPXE says i386 on every PC, so it may boot x86_64 as well.
const alpineArchs: Record<string, readonly string[]> = {
  x86_64: ['x86_64', 'x86'],
  i386: ['x86_64', 'x86'],
  arm64: ['aarch64'],
  arm32: ['armv7', 'armhf'],
  riscv64: ['riscv64'],
  loong64: ['loongarch64'],
}

const archMatches = (alpineArch: string, buildarch: string): boolean => alpineArchs[buildarch]?.includes(alpineArch) ?? true
