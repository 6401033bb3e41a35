// What profiles of kinds linux, rescue, chain and menu name and what is not there: files, templates, markers, entries. Used by lint-record. Pure.
import { filesOfImage, type Image, isUrl, markersOf, nameOfEntry } from '../boot/image.ts'
import type { LinuxProfile, MenuProfile, Profile, Records } from '../boot/record.ts'
import type { Finding } from '../store/mistake.ts'

/** `path` is the key's place in the record. */
type Say = (severity: Finding['severity'], code: string, path: readonly PropertyKey[], message: string) => void

export type KindOptions = {
  readonly hasFile?: ((path: string) => boolean) | undefined
  readonly hasTemplate?: ((name: string) => boolean) | undefined
}

/** All of it for one profile. */
export function lintKind(profile: Profile, records: Records, { hasFile, hasTemplate }: KindOptions, say: Say): void {
  const needFile = (place: string, path: readonly PropertyKey[]): void => {
    if (hasFile && !isUrl(place) && !hasFile(place)) say('error', 'file-missing', path, `there is no ${place} in the depot: such stations wait`)
  }
  if (profile.kind === 'chain') needFile(profile.target, ['target'])
  if (profile.kind === 'rescue') {
    needFile(profile.kernel, ['kernel'])
    needFile(profile.initrd, ['initrd'])
    const { fullroot } = profile
    if (hasFile && fullroot !== undefined && !isUrl(fullroot))
      for (const name of ['root.sqfs', 'Install', 'pubkey'])
        if (!hasFile(`${fullroot}/${name}`))
          say('warning', 'rescue-file-missing', ['fullroot'], `there is no ${fullroot}/${name} in the depot, and the rescue image fetches it`)
    lintArguments(profile.arguments, {}, ['arguments'], say)
  }
  if (profile.kind === 'linux') {
    lintImage(profile, profile.answers, [], needFile, say)
    if (hasTemplate) lintAnswers(profile, hasTemplate, say)
  }
  if (profile.kind === 'menu') lintMenu(profile, records, needFile, say)
}

type NeedFile = (place: string, path: readonly PropertyKey[]) => void

function lintImage(image: Image, answers: Readonly<Record<string, string>>, at: readonly PropertyKey[], needFile: NeedFile, say: Say): void {
  const keys = [['kernel'], ...image.initrds.map((_, index) => ['initrds', index]), ...image.modules.map((_, index) => ['modules', index, 'file'])]
  const places = [image.kernel, ...image.initrds, ...image.modules.map(({ file }) => file)]
  for (const [index, place] of places.entries()) if (filesOfImage(image).includes(place)) needFile(place, [...at, ...(keys[index] ?? [])])
  lintArguments(image.arguments, answers, [...at, 'arguments'], say)
  for (const [index, one] of image.modules.entries()) lintArguments(one.arguments, answers, [...at, 'modules', index, 'arguments'], say)
}

const plainMarkers: ReadonlySet<string> = new Set(['base', 'server', 'mac', 'up'])

/** `{var:…}` may be the station's: that is told when its script is made. */
function lintArguments(words: readonly string[], answers: Readonly<Record<string, string>>, path: readonly PropertyKey[], say: Say): void {
  for (const [index, word] of words.entries())
    for (const [kind, name] of markersOf(word)) {
      if (plainMarkers.has(kind) || ((kind === 'var' || kind === 'file') && name) || (kind === 'answer' && name && Object.hasOwn(answers, name)))
        continue
      const message =
        kind === 'answer'
          ? `${word}: the profile has no answer file ${name ?? ''} (answers: has ${Object.keys(answers).join(', ') || 'none'})`
          : `${word}: {${kind}} stands for nothing; there are answer:NAME, base, file:PATH, mac, server, up, var:NAME`
      say('error', 'marker-unknown', [...path, index], message)
    }
}

function lintAnswers({ answers }: LinuxProfile, hasTemplate: (name: string) => boolean, say: Say): void {
  for (const [name, template] of Object.entries(answers))
    if (!hasTemplate(template))
      say('error', 'template-missing', ['answers', name], `there is no template ${template}.ejs in templates/ of the depot: such stations wait`)
}

function lintMenu(profile: MenuProfile, { profiles }: Records, needFile: NeedFile, say: Say): void {
  const entries = profile.entries ?? []
  const seen = new Set<string>()
  for (const [index, entry] of entries.entries()) {
    const at = ['entries', index]
    const name = nameOfEntry(entry)
    if (name !== undefined && seen.has(name)) say('error', 'menu-twice', at, `two entries are called ${name}: give one of them another name:`)
    if (name !== undefined) seen.add(name)
    if (entry.profile !== undefined && !profiles.has(entry.profile))
      say('error', 'profile-missing', [...at, 'profile'], `there is no profile ${entry.profile}: the entry comes back to the menu`)
    if (entry.chain !== undefined) needFile(entry.chain, [...at, 'chain'])
    if (entry.linux) lintImage(entry.linux, {}, [...at, 'linux'], needFile, say)
  }
  const wanted = profile.default
  const isThere = profile.entries
    ? wanted !== undefined && seen.has(wanted)
    : ['local', 'again', 'shell'].includes(wanted ?? '') || profiles.has(wanted ?? '')
  if (wanted !== undefined && !isThere)
    say('error', 'menu-default', ['default'], `names no entry (there are ${[...seen].join(', ') || 'none with a name'}): nothing is chosen by itself`)
}
