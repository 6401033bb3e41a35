// What is another between two releases: kernel, files, modules, keys, repositories. Pure; printed by the command.
import type { ReleaseManifest } from '../store/manifest.ts'

/** One fact of both; `name` is the fact or the part of the release (`vmlinuz`). */
export type ReleaseDifference = { readonly name: string; readonly before: string; readonly after: string }

/** The differences, facts first. Files are compared part by part, so that flavours may differ. */
export function diffReleases(before: ReleaseManifest, after: ReleaseManifest): ReleaseDifference[] {
  const facts = ['version', 'branch', 'arch', 'flavour', 'kernelVersion', 'modules'] as const
  const list = (values: readonly string[]): string => values.join(', ') || 'none'
  const rows: ReleaseDifference[] = [
    ...facts.map((name) => ({ name, before: String(before[name] ?? 'not known'), after: String(after[name] ?? 'not known') })),
    { name: 'keys', before: list(before.keys), after: list(after.keys) },
    { name: 'repositories', before: list(before.repositories), after: list(after.repositories) },
    ...partsOf(before, after).map((part) => ({ name: part, before: describe(before, part), after: describe(after, part) })),
  ]
  return rows.filter((row) => row.before !== row.after)
}

const partOf = (name: string): string => name.replace(/-[^-]*$/, '')

const partsOf = (...manifests: readonly ReleaseManifest[]): string[] => [
  ...new Set(manifests.flatMap(({ files }) => files.map(({ name }) => partOf(name)))),
]

function describe({ files }: ReleaseManifest, part: string): string {
  const file = files.find(({ name }) => partOf(name) === part)
  return file ? `${file.sizeBytes} bytes, sha256 ${file.sha256.slice(0, 12)}` : 'not there'
}
