// Names of Alpine's boot files and archives, and what they tell: part and flavour, version and architecture. Pure; used by all of import.
import { branchOf, hasVanilla } from '../alpine/branch.ts'
import { InputError } from '../boot/error.ts'
import { alpineArchs } from '../store/release.ts'

export const bootParts = ['vmlinuz', 'initramfs', 'modloop'] as const
export type BootPart = (typeof bootParts)[number]
export type BootName = { readonly name: string; readonly part: BootPart; readonly flavour: string }

/** `vmlinuz-lts`; undefined for every other name. */
export function readBootName(name: string): BootName | undefined {
  const [, part, flavour] = /^(vmlinuz|initramfs|modloop)-([A-Za-z0-9_-]{1,32})$/.exec(name) ?? []
  return part && flavour ? { name, part: part as BootPart, flavour } : undefined
}

/** What the name of an archive tells; all absent when it is none of Alpine's. */
export type ArchiveName = { readonly image?: string; readonly version?: string; readonly arch?: string }

const versionText = '[0-9]+\\.[0-9]+\\.[0-9]+(?:_[a-z]+[0-9]*)?|[0-9]{8}'
const archivePattern = new RegExp(`^alpine-([a-z]+)-(${versionText})-([a-z0-9_]+)\\.(?:tar\\.gz|tgz|iso)$`)

/** `alpine-netboot-3.22.2-x86_64.tar.gz` → netboot, 3.22.2, x86_64. */
export function readArchiveName(name: string): ArchiveName {
  const [, image, version, arch] = archivePattern.exec(name) ?? []
  return image && version && arch ? { image, version, arch } : {}
}

/** `netboot-3.22.2` anywhere in the path of a folder, and an architecture as one of its parts. */
export function readFolderName(path: string): ArchiveName {
  const parts = path.split('/')
  const version = parts.map((part) => new RegExp(`^(?:alpine-)?netboot-(${versionText})$`).exec(part)?.[1]).find(Boolean)
  const arch = parts.findLast((part) => alpineArchs.includes(part))
  return { ...(version && { version }), ...(arch && { arch }) }
}

/** What a release is called by. */
export type ReleaseName = { readonly version: string; readonly branch: string; readonly arch: string; readonly flavour: string; readonly id: string }

/**
 * The full name. Throws InputError: `release-version` (none known, or not of the branch), `release-arch`, `release-flavour` (a name that cannot be one,
 * or `vanilla` of a branch that has none).
 */
export function nameRelease(known: {
  version?: string | undefined
  branch?: string | undefined
  arch?: string | undefined
  flavour: string
}): ReleaseName {
  const { version, arch, flavour } = known
  if (!version || !new RegExp(`^(${versionText})$`).test(version))
    throw new InputError(
      'release-version',
      `${version ? `"${version.slice(0, 40)}" is no version` : 'the source does not tell its version'}: give --version, such as 3.22.2`,
    )
  const branch = branchOf(version) ?? known.branch ?? 'edge'
  if (known.branch && known.branch !== branch && known.branch !== 'latest-stable')
    throw new InputError('release-version', `version ${version} is of branch ${branch}, not ${known.branch}`)
  if (!arch || !alpineArchs.includes(arch))
    throw new InputError(
      'release-arch',
      `${arch ? `"${arch.slice(0, 40)}" is no architecture` : 'the source does not tell its architecture'}: give --arch, one of ${alpineArchs.join(', ')}`,
    )
  checkFlavour(flavour, branch)
  return { version, branch, arch, flavour, id: `alpine/${version}/${arch}/${flavour}` }
}

function checkFlavour(flavour: string, branch: string): void {
  if (!/^[a-z0-9][a-z0-9_-]{0,31}$/i.test(flavour))
    throw new InputError('release-flavour', `"${flavour.slice(0, 40)}" is no flavour: lts for machines, virt for virtual ones`)
  if (flavour === 'vanilla' && !hasVanilla(branch))
    throw new InputError('release-flavour', `${branch} has no flavour vanilla: it ended with Alpine 3.10; take --flavour lts`)
}

/**
 * The three files of the flavour among these names. Throws InputError `flavour-mix` when they are not all there but others' are, `release-incomplete`
 * when some are missing altogether; both say what to take.
 */
export function chooseSet(names: readonly string[], flavour: string, place: string): Record<BootPart, string> {
  const files = names.flatMap((name) => readBootName(name) ?? [])
  const find = (part: BootPart, of: string) => files.find((file) => file.part === part && file.flavour === of)?.name
  const [vmlinuz, initramfs, modloop] = bootParts.map((part) => find(part, flavour))
  if (vmlinuz && initramfs && modloop) return { vmlinuz, initramfs, modloop }
  const flavours = [...new Set(files.map((file) => file.flavour))].sort()
  const whole = flavours.filter((one) => bootParts.every((part) => find(part, one)))
  const listed = files
    .map(({ name }) => name)
    .sort()
    .join(', ')
  if (whole.length)
    throw new InputError('release-flavour', `${place} has no flavour ${flavour}: take ${whole.map((one) => `--flavour ${one}`).join(' or ')}`)
  if (flavours.length > 1)
    throw new InputError(
      'flavour-mix',
      `${place} mixes the flavours ${flavours.join(' and ')} (${listed}): kernel, initramfs and modloop must be of one flavour and version; import Alpine's netboot archive with --flavour lts (virt lacks the drivers of real machines, vanilla ended with 3.10)`,
    )
  const lacking = bootParts.filter((part) => !find(part, flavours[0] ?? flavour)).map((part) => `${part}-${flavours[0] ?? flavour}`)
  throw new InputError(
    'release-incomplete',
    `${place} has no ${lacking.join(', no ')}${listed ? ` (there: ${listed})` : ''}: take Alpine's netboot archive`,
  )
}
