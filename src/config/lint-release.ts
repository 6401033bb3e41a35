// What a profile says of releases that cannot work out as meant: versions and flavours mixed, a modloop under another name, arguments that the
// branch's init does not take. Used by lint-record. Pure.
import { branchOf, ignoresAlpineDev, takesRepositoryList } from '../alpine/branch.ts'
import type { AlpineProfile, Records, Release } from '../boot/record.ts'
import type { Finding } from '../store/mistake.ts'

export type SayKey = (severity: Finding['severity'], code: string, key: string, message: string) => void

const bootKeys = ['kernel', 'initramfs', 'modloop'] as const

/** All of it for one profile. */
export function lintBoot(profile: AlpineProfile, records: Records, say: SayKey): void {
  lintVersions(profile, say)
  lintModloopName(profile, say)
  const branch = branchOfProfile(profile, records)
  if (profile.alpineDev !== undefined && ignoresAlpineDev(branch))
    say(
      'warning',
      'alpine-dev-ignored',
      'alpineDev',
      `every Alpine since v3.3${branch ? `, so ${branch} too,` : ''} ignores alpine_dev: modules come by modloop, packages by repositories, over http`,
    )
  const { repositories } = profile
  if (repositories.length > 1 && !takesRepositoryList(branch))
    say(
      'warning',
      'repository-list',
      'repositories',
      `the init of ${branch} takes one repository only (several since v3.20): ${repositories[0]} is given, the others must be in the overlay's etc/apk/repositories`,
    )
}

/** No repositories at all: the init finds no packages, not even alpine-base, and the station ends in a shell. */
export function lintNoRepositories(profile: AlpineProfile, records: Records, say: SayKey): void {
  const release = releaseOf(profile, records)
  if (profile.repositories.length || profile.omit.includes('alpine_repo') || release?.repositories?.length) return
  if (!release && profile.kernel === undefined) return
  const place = `apk/${release?.branch ?? 'v3.22'}`
  const where = release ? `${release.id} names none either` : 'its files are of no release that could name them'
  say(
    'warning',
    'repositories-none',
    'repositories',
    `names no repositories, and ${where}: unless the overlay brings etc/apk/repositories the station finds no packages and does not come up; give repositories: [${place}/main, ${place}/community]`,
  )
}

/** Single files of several versions: no module would load. */
function lintVersions(profile: AlpineProfile, say: SayKey): void {
  const files = bootKeys.flatMap((key) => (profile[key] === undefined ? [] : [{ key, path: profile[key], version: versionOf(profile[key]) }]))
  const first = files.find(({ version }) => version !== undefined)
  const other = files.find(({ version }) => version !== undefined && version !== first?.version)
  if (first && other)
    say(
      'error',
      'version-mix',
      other.key,
      `${other.path} is of ${other.version}, ${first.path} of ${first.version}: kernel, initramfs and modloop must be of one release; name it by release:`,
    )
}

/** `3.22.2` in `releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts`. */
const versionOf = (path: string): string | undefined => /(?:^|[/-])([0-9]+\.[0-9]+\.[0-9]+(?:_[a-z]+[0-9]*)?)(?=[/-])/.exec(path)?.[1]

/** Lore: OpenRC's modloop service looks for the signature by the file's name, and checks nothing where there is none (alpine-conf, modloop.initd). */
function lintModloopName({ modloop }: AlpineProfile, say: SayKey): void {
  const name = modloop?.slice(modloop.lastIndexOf('/') + 1)
  if (name !== undefined && !/^modloop-[A-Za-z0-9_]+$/.test(name))
    say(
      'warning',
      'modloop-renamed',
      'modloop',
      `${name} is not a name of Alpine's: under it no signature is found, so the modloop is not checked; call it modloop-<flavour>`,
    )
}

/** By the release, or by what the paths and repositories say. */
function branchOfProfile(profile: AlpineProfile, { releases }: Records): string | undefined {
  const release = releaseOf(profile, { releases })
  const version = [profile.kernel, release?.id].map((path) => path && versionOf(`${path}/`)).find(Boolean)
  const named = profile.repositories.map((place) => /(?:^|\/)(v[1-9][0-9]*\.[0-9]+)(?=\/)/.exec(place)?.[1]).find(Boolean)
  return release?.branch ?? (version ? branchOf(version) : undefined) ?? named
}

/** The one that it names, or the only one that there is. */
function releaseOf({ release, kernel }: AlpineProfile, { releases }: Pick<Records, 'releases'>): Release | undefined {
  if (release !== undefined) return releases.find(({ id }) => id === release)
  return kernel === undefined && releases.length === 1 ? releases[0] : undefined
}
