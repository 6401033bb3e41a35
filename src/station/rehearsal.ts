// Carries the operator's templates out once for each profile and for stations that name it, before a station asks. Used by `config check`.
// Only for what Scripts.problems() tells afterwards: nothing is answered to anybody, and neither the disk nor an overlay is asked for.
import type { Mac } from '../boot/address.ts'
import type { BootFiles } from '../boot/decide.ts'
import type { Profile, Records, Station } from '../boot/record.ts'
import type { GatePlan } from './plan.ts'
import type { Scripts } from './script.ts'
import { renderPlan } from './view.ts'
import type { ScriptForm } from './ask.ts'

/** Of each profile: the first that name it, and a station without a record. */
const stationsEach = 20
const someMac = '52:54:00:00:00:01' as Mac
const files: BootFiles = {
  kernel: 'releases/r/vmlinuz-lts',
  initramfs: 'releases/r/initramfs-lts',
  modloop: 'releases/r/modloop-lts',
  flavour: 'lts',
}
const forms: readonly ScriptForm[] = ['ipxe', 'gpxe', 'pxelinux', 'grub']

/** Renders every form of every profile's script, with made-up boot files. Never fails for what a template does. */
export function rehearse({ profiles, stations }: Records, defaultProfile: string, scripts: Scripts): void {
  for (const profile of profiles.values()) {
    if (profile.kind === 'ignore') continue
    const named = stations.filter(({ profile: name = defaultProfile }) => name === profile.name).slice(0, stationsEach)
    for (const station of [undefined, ...named])
      for (const form of forms) {
        const mac = station?.macs[0] ?? someMac
        renderPlan(planOf(profile, station), { httpBase: 'http://10.9.0.1:8080', form, ...(form !== 'gpxe' && { mac }), root: '' }, scripts)
      }
  }
}

function planOf(profile: Profile, station: Station | undefined): GatePlan {
  const about = { profile, why: [], ...(station && { station }), hasSshKeys: true, menu: ['alpine'] }
  if (profile.kind !== 'alpine') return about
  return { ...about, boot: { profile, files, ...(profile.overlay === 'required' && { overlay: 'configs/default.tar.gz' }) } }
}
