// What a station boots by its records: for the desk, which compares the overlay with the release. Pure.
import type { Mac } from '../boot/address.ts'
import { findBootFiles } from '../boot/decide.ts'
import { chooseProfile } from '../boot/match.ts'
import type { Records, Release, Site } from '../boot/record.ts'

export type StationBoot = { readonly release?: Release; readonly sshKeys: boolean; readonly repositories: readonly string[] }

/** The release that the station boots, as far as its records tell, and whether its profile wants the site's ssh keys, and where its packages come from. */
export function bootOf(mac: Mac, records: Records, site: Site): StationBoot {
  const { profile } = chooseProfile(mac, {}, records, site)
  if (profile.kind !== 'alpine') return { sshKeys: false, repositories: [] }
  const files = findBootFiles(profile, {}, records)
  const release = 'missing' in files ? undefined : records.releases.find(({ id }) => id === files.releaseId)
  const repositories = profile.repositories.length ? profile.repositories : (release?.repositories ?? [])
  return { sshKeys: profile.sshKeys, repositories, ...(release && { release }) }
}
