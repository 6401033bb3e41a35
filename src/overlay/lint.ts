// What is wrong with an overlay beside what the inspector sees in it alone: the release that it meets, keys that nobody fetches, unknown packages.
// Used by the desk. Pure.
import type { OverlayReport } from '../alpine/overlay.ts'
import type { OverlayWarning } from '../alpine/overlay-warning.ts'
import type { Release } from '../boot/record.ts'
import { packageName } from './lay.ts'

export type LintContext = {
  readonly release?: Pick<Release, 'id' | 'branch'>
  /** The depot has keys in `sshkeys.pub` and the profile wants them. */
  readonly hasSiteKeys: boolean
  /** Is there a package of this name in the indexes that the station uses? Absent: not known. */
  readonly hasPackage?: (name: string) => boolean
}

/** The inspector's warnings and these, one for each mistake. */
export function lintOverlay(report: OverlayReport, context: LintContext): OverlayWarning[] {
  return [...report.warnings, ...lintRepositories(report, context), ...lintSsh(report, context), ...lintWorld(report, context)]
}

const branchIn = /\/(v[0-9]+\.[0-9]+|edge|latest-stable)\//

function lintRepositories({ repositories }: OverlayReport, { release }: LintContext): OverlayWarning[] {
  const branches = [...new Set(repositories.flatMap((line) => branchIn.exec(line)?.[1] ?? []))]
  const strange = release?.branch === undefined ? [] : branches.filter((branch) => branch !== release.branch && branch !== 'latest-stable')
  return [
    ...(branches.includes('latest-stable')
      ? [
          {
            code: 'moving-branch',
            text: 'etc/apk/repositories names latest-stable, which moves under running stations',
            remedy: 'leave the file out, or name the branch of the release',
          },
        ]
      : []),
    ...strange.map((branch) => ({
      code: 'release-drift',
      text: `etc/apk/repositories names ${branch}, but the station boots ${release?.id} of ${release?.branch}: it would mix packages of both`,
      remedy: 'leave the file out: then the repositories of the release are written there',
    })),
  ]
}

function lintSsh({ world, services, hasSshKeys, hasHostKeys, hasDefaultServices }: OverlayReport, { hasSiteKeys }: LintContext): OverlayWarning[] {
  const runsSshd = services.includes('default/sshd')
  const found: OverlayWarning[] = []
  if (hasSiteKeys && !hasSshKeys && !hasDefaultServices)
    found.push({
      code: 'ssh-keys-unfetched',
      text: 'the keys of sshkeys.pub reach this station by nothing: beside an overlay with run levels ssh_key= is passed over without a word',
      remedy: 'compose the overlay from layers, which puts them in, or bring root/.ssh/authorized_keys',
    })
  if (hasSshKeys && !runsSshd && !services.includes('default/dropbear'))
    found.push({
      code: 'no-sshd',
      text: 'there are ssh keys for root, but no ssh server is started',
      remedy: 'add openssh to packages and sshd to services',
    })
  if (runsSshd && !world.some((line) => packageName(line).startsWith('openssh')))
    found.push({ code: 'no-openssh', text: 'sshd is in a run level, but openssh is not in etc/apk/world', remedy: 'add openssh to packages' })
  if (runsSshd && !hasHostKeys)
    found.push({
      code: 'host-keys',
      text: 'no etc/ssh/ssh_host_*_key: sshd makes new ones in each boot, and whoever logs in is warned',
      remedy: "bring the station's own keys as secrets: files: { etc/ssh/ssh_host_ed25519_key: { secret: … } }",
    })
  return found
}

function lintWorld({ world }: OverlayReport, { hasPackage }: LintContext): OverlayWarning[] {
  const unknown = hasPackage
    ? world
        .filter((line) => !line.startsWith('!'))
        .map(packageName)
        .filter((name) => !hasPackage(name))
    : []
  return unknown.map((name) => ({
    code: 'unknown-package',
    text: `${name} of etc/apk/world is in no repository of the station: apk drops it without a word`,
    remedy: 'correct the name, add the repository, or bring the mirror up to date',
  }))
}
