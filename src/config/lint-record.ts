// What configuration and records say together: profiles and releases that are named and not there, stations left open or without a loader.
// Used by `config check` and at the start. What is wrong with single records is the record book's to tell. Pure.
import type { Place } from '../boot/error.ts'
import { firmwareByArch } from '../boot/firmware.ts'
import { type AlpineProfile, builtInProfiles, type Profile, type Records } from '../boot/record.ts'
import type { LoadedConfig } from '../config.ts'
import type { Finding } from '../store/mistake.ts'
import type { RecordBook } from '../store/record.ts'
import { lintKind } from './lint-kind.ts'
import { lintBoot, lintNoRepositories } from './lint-release.ts'

export type RecordLintOptions = {
  /** Is there a loader of this name? Absent: loaders are not looked at. */
  readonly hasLoader?: (name: string) => boolean
  /** Is there a file at this path below the depot? Absent: files are not looked at. */
  readonly hasFile?: (path: string) => boolean
  /** Is there a template of this name, without `.ejs`? Absent: templates are not looked at. */
  readonly hasTemplate?: (name: string) => boolean
}

type Book = Pick<RecordBook, 'current' | 'placeOf'>
type Loaded = Pick<LoadedConfig, 'config' | 'placeOf'>

/** All that configuration and records say wrong together. */
export function lintRecords(loaded: Loaded, book: Book, { hasLoader, hasFile, hasTemplate }: RecordLintOptions = {}): Finding[] {
  return [
    ...lintSite(loaded, book.current()),
    ...book.current().stations.flatMap((station) => lintStation(station, book)),
    ...ownProfiles(book.current()).flatMap((profile) => lintProfile(profile, book, hasFile)),
    ...(hasTemplate ? ownProfiles(book.current()).flatMap((profile) => lintTemplate(profile, book, hasTemplate)) : []),
    ...ownProfiles(book.current()).flatMap((profile) => lintOther(profile, book, { hasFile, hasTemplate })),
    ...lintMatches(book),
    ...(hasLoader ? lintLoaders(loaded, hasLoader) : []),
  ]
}

const finding = (severity: Finding['severity'], code: string, message: string, place: Place): Finding => ({ code, message, severity, ...place })

const ownProfiles = ({ profiles }: Records): Profile[] => [...profiles.values()].filter((profile) => !builtInProfiles.includes(profile))

const isOpen = (profile: Profile | undefined): boolean => profile?.kind === 'alpine' && profile.overlay === 'none'

function lintSite({ config: { site }, placeOf }: Loaded, records: Records): Finding[] {
  const { profiles } = records
  const found: Finding[] = []
  for (const [key, name] of [
    ['default', site.defaultProfile],
    ['unknown', site.unknown],
    ['withoutOverlay', site.withoutOverlay],
  ] as const) {
    const profile = profiles.get(name)
    const say = (severity: Finding['severity'], code: string, message: string) => void found.push(finding(severity, code, message, placeOf([key])))
    if (!profile)
      say('error', 'profile-missing', `there is no profile ${name}: such stations wait (there are ${[...profiles.keys()].sort().join(', ')})`)
    // A profile of a file is looked at by itself.
    else if (profile.kind === 'alpine' && builtInProfiles.includes(profile)) {
      lintRelease(profile, records, (severity, code, _, message) => say(severity, code, `profile ${name}: ${message}`))
    }
  }
  const substitute = profiles.get(site.withoutOverlay)
  if (substitute?.kind === 'alpine' && substitute.overlay === 'required') {
    found.push(
      finding(
        'error',
        'substitute-needs-overlay',
        `profile ${substitute.name} stands in for a missing overlay and needs one itself: such stations wait`,
        placeOf(['withoutOverlay']),
      ),
    )
  }
  if (isOpen(substitute))
    found.push(
      finding(
        'warning',
        'open-without-overlay',
        `a station whose overlay is missing gets a bare Alpine, root without password (profile ${site.withoutOverlay})`,
        placeOf(['withoutOverlay']),
      ),
    )
  if (isOpen(profiles.get(site.unknown)))
    found.push(
      finding(
        'warning',
        'open-unknown',
        `any device on the network gets a bare Alpine, root without password (profile ${site.unknown})`,
        placeOf(['unknown']),
      ),
    )
  return found
}

function lintStation(station: Records['stations'][number], book: Book): Finding[] {
  const { profiles } = book.current()
  if (station.profile === undefined || profiles.has(station.profile)) return []
  const message = `there is no profile ${station.profile}: the station waits (there are ${[...profiles.keys()].sort().join(', ')})`
  return [finding('error', 'profile-missing', message, book.placeOf('stations', station.name, ['profile']))]
}

function lintProfile(profile: Profile, book: Book, hasFile: RecordLintOptions['hasFile']): Finding[] {
  if (profile.kind !== 'alpine') return []
  const found: Finding[] = []
  const say = (severity: Finding['severity'], code: string, key: string, message: string) =>
    void found.push(finding(severity, code, message, book.placeOf('profiles', profile.name, [key])))
  if (profile.kernel !== undefined || profile.initramfs !== undefined || profile.modloop !== undefined) lintFiles(profile, say, hasFile)
  else lintRelease(profile, book.current(), say)
  lintBoot(profile, book.current(), say)
  if (hasFile) {
    lintRepositories(profile, say, hasFile)
    lintNoRepositories(profile, book.current(), say)
  }
  return found
}

function lintOther(profile: Profile, book: Book, options: Parameters<typeof lintKind>[2]): Finding[] {
  const found: Finding[] = []
  lintKind(profile, book.current(), options, (severity, code, path, message) => {
    found.push(finding(severity, code, message, book.placeOf('profiles', profile.name, [...path])))
  })
  return found
}

function lintTemplate(profile: Profile, book: Book, hasTemplate: (name: string) => boolean): Finding[] {
  if (!('template' in profile) || profile.template === undefined || hasTemplate(profile.template)) return []
  const message = `there is no template ${profile.template}.ejs, neither in templates/ of the depot nor of our own: such stations wait`
  return [finding('error', 'template-missing', message, book.placeOf('profiles', profile.name, ['template']))]
}

type Say = (severity: Finding['severity'], code: string, key: string, message: string) => void

const bootKeys = ['kernel', 'initramfs', 'modloop'] as const

function lintFiles(profile: AlpineProfile, say: Say, hasFile: RecordLintOptions['hasFile']): void {
  for (const key of ['kernel', 'initramfs'] as const) {
    if (profile[key] === undefined)
      say(
        'error',
        'boot-files-half',
        bootKeys.find((one) => profile[one] !== undefined) ?? 'kind',
        `there is no ${key}: give kernel and initramfs together, or a release in place of both`,
      )
  }
  if (profile.release !== undefined)
    say('warning', 'release-and-files', 'release', 'is not used, since the profile names its kernel and initramfs itself')
  const files = bootKeys.flatMap((key) => (profile[key] === undefined ? [] : [{ key, path: profile[key], flavour: flavourOf(profile[key]) }]))
  const [first, ...others] = files
  const other = others.find(({ flavour }) => first?.flavour !== undefined && flavour !== undefined && flavour !== first.flavour)
  if (first && other)
    say(
      'error',
      'flavour-mix',
      other.key,
      `${other.path} is of flavour ${other.flavour}, ${first.path} of ${first.flavour}: take all of one flavour and version (lts for machines; virt lacks their drivers, vanilla ended with Alpine 3.10)`,
    )
  for (const { key, path } of files) if (hasFile && !hasFile(path)) say('error', 'file-missing', key, `there is no ${path} in the depot`)
}

/** A path below the depot is a repository when it has an index for any architecture; URLs are not asked. */
function lintRepositories({ repositories }: AlpineProfile, say: Say, hasFile: (path: string) => boolean): void {
  for (const place of repositories) {
    const path = place.replace(/\/$/, '')
    if (/^https?:/.test(place) || repositoryArchs.some((arch) => hasFile(`${path}/${arch}/APKINDEX.tar.gz`))) continue
    say(
      'warning',
      'repository-missing',
      'repositories',
      `there is no ${path}/<arch>/APKINDEX.tar.gz in the depot: no package can be installed from it`,
    )
  }
}

const repositoryArchs = ['x86_64', 'x86', 'aarch64', 'armv7', 'armhf', 'riscv64', 'loongarch64', 'ppc64le', 's390x']

/** `boot/modloop-virt` → `virt`; undefined where the name does not tell. */
const flavourOf = (path: string): string | undefined => /(?:^|\/)(?:vmlinuz|initramfs|modloop)-([A-Za-z0-9_-]+)$/.exec(path)?.[1]

function lintRelease(profile: AlpineProfile, { releases }: Records, say: Say): void {
  if (profile.release !== undefined) {
    const known = releases.map(({ id }) => id).join(', ') || 'none'
    if (!releases.some(({ id }) => id === profile.release))
      say('error', 'release-missing', 'release', `there is no release ${profile.release} below releases/ (there are: ${known})`)
    return
  }
  if (!releases.length)
    say(
      'warning',
      'release-none',
      'kind',
      'the depot has no release yet: put one below releases/, such as releases/alpine/3.22.2/x86_64/lts/; such stations wait until then',
    )
  for (const [arch, same] of Map.groupBy(releases, (release) => release.arch ?? 'no architecture')) {
    if (same.length > 1)
      say(
        'error',
        'release-ambiguous',
        'kind',
        `names no release, and the depot has ${same.length} for ${arch}: ${same.map(({ id }) => id).join(', ')}; such stations wait`,
      )
  }
}

/** Two profiles that ask for the very same labels: only their names decide between them. */
function lintMatches(book: Book): Finding[] {
  const first = new Map<string, string>()
  return ownProfiles(book.current()).flatMap(({ name, match, priority = 0 }) => {
    if (!match) return []
    const key = JSON.stringify([priority, ...Object.entries(match).sort()])
    const holder = first.get(key)
    first.set(key, holder ?? name)
    return holder === undefined
      ? []
      : [
          finding(
            'warning',
            'match-twice',
            `profile ${holder} matches the same labels; which of the two is taken is decided by their names`,
            book.placeOf('profiles', name, ['match']),
          ),
        ]
  })
}

function lintLoaders({ config: { site, networks }, placeOf }: Loaded, hasLoader: (name: string) => boolean): Finding[] {
  const found: Finding[] = []
  for (const [arch, loader] of site.loaders) {
    if (!hasLoader(loader))
      found.push(
        finding(
          'error',
          'loader-missing',
          `there is no loader ${loader} for firmware ${arch}; put it in the depot below ipxe/`,
          placeOf(['loaders']),
        ),
      )
  }
  for (const [index, { name, loader }] of site.quirks.entries()) {
    if (loader !== undefined && !hasLoader(loader))
      found.push(
        finding(
          'error',
          'loader-missing',
          `there is no loader ${loader} for quirk ${name}; put it in the depot below ipxe/`,
          placeOf(['quirks', index, 'loader']),
        ),
      )
  }
  for (const arch of networks.length ? [0, 7] : []) {
    const loader = site.loaders.get(arch) ?? firmwareByArch.get(arch)?.loader
    if (loader && !site.loaders.has(arch) && !hasLoader(loader)) {
      const message = `there is no loader ${loader} for ${firmwareByArch.get(arch)?.name}; install the distribution's ipxe package or put it in the depot below ipxe/`
      found.push(finding('warning', 'loader-absent', message, placeOf(['loaders'])))
    }
  }
  return found
}
