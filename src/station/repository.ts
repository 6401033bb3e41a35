// Where a boot's packages come from: the profile's repositories, or those of its release; and how many of them the branch's init takes. Pure;
// used by view for the kernel line and by explain.
import { takesRepositoryList } from '../alpine/branch.ts'
import { fileUrl } from '../alpine/cmdline.ts'
import type { BootFiles } from '../boot/decide.ts'
import { because, butNot, type Reason } from '../boot/match.ts'
import type { AlpineProfile } from '../boot/record.ts'

type Boot = { readonly profile: AlpineProfile; readonly files: BootFiles }

/** As written: URLs, or paths below the depot. */
export const repositoriesOf = ({ profile, files }: Boot): readonly string[] =>
  profile.repositories.length ? profile.repositories : (files.repositories ?? [])

/** Where a station finds it: `apk/…` of the depot is the mirror's, which may be another server (`packagesBase`). */
export function repositoryUrl(place: string, httpBase: string, packagesBase: string): string {
  if (/^https?:/.test(place)) return place
  const path = place.replace(/\/$/, '')
  return path.startsWith('apk/') ? fileUrl(packagesBase, path.slice(4)) : fileUrl(httpBase, path)
}

/** For `explain`: those of the release that are used, and those that an old init does not take from the kernel line. */
export function explainRepositories(boot: Boot | undefined): Reason[] {
  const places = boot ? repositoriesOf(boot) : []
  if (!boot || !places.length) return []
  const { profile, files } = boot
  const taken = takesRepositoryList(files.branch) ? places : places.slice(0, 1)
  return [
    ...(profile.repositories.length ? [] : [because('repositories', `of release ${files.releaseId}: ${taken.join(', ')}`)]),
    ...places
      .slice(taken.length)
      .map((place) =>
        butNot('repositories', `${place}: the init of ${files.branch} takes one only; this one must be in the overlay's etc/apk/repositories`),
      ),
  ]
}
