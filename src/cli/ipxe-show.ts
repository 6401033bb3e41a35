// How the iPXE commands show things: one live line on a terminal, plain lines elsewhere, tables. Used by ipxe.
import type { Manifest } from '../ipxe/artifact.ts'
import type { Build } from '../ipxe/build.ts'
import { formatTable } from './output.ts'

export type Screen = { readonly isTerminal: boolean; readonly columns: number; readonly write: (text: string) => void }

export type ProgressView = { readonly show: (build: Build) => void; readonly end: () => void }

/** Follows one build: a line that renews itself, or a line for each new step where nobody looks at a terminal. */
export function createProgressView(screen: Screen, now: () => number): ProgressView {
  const startedAt = now()
  let lastStep = ''
  let isOpen = false
  const show = ({ state, what, progress }: Build): void => {
    const seconds = Math.floor((now() - startedAt) / 1000)
    const text = progress ? formatProgress(progress) : state === 'queued' ? 'waiting' : 'copying the tree'
    if (screen.isTerminal) {
      isOpen = true
      screen.write(`\r\x1b[K${`${what}: ${text}, ${seconds} s`.slice(0, screen.columns - 1)}`)
      return
    }
    const step = `${progress?.part ?? ''} ${progress?.step ?? text}`
    if (step === lastStep || state === 'done') return
    lastStep = step
    screen.write(`${progress?.part ?? what}: ${progress?.step ?? text} (${seconds} s)\n`)
  }
  const end = (): void => {
    if (isOpen) screen.write('\r\x1b[K')
    isOpen = false
  }
  return { show, end }
}

/** `compiling 1200 of about 2900 (41 %) bin/tcp.o` */
export function formatProgress({ step, done, total, current, part }: NonNullable<Build['progress']>): string {
  const share = total === undefined ? `${done}` : `${Math.min(done, total)} of about ${total} (${Math.min(99, Math.floor((100 * done) / total))} %)`
  return `${part ? `${part}: ` : ''}${step} ${share} ${current}`
}

export function formatArtifacts(manifests: readonly Manifest[], names: Readonly<Record<string, string>>): string {
  const announced = (fingerprint: string): string =>
    Object.entries(names)
      .filter(([, other]) => other === fingerprint)
      .map(([name]) => name)
      .join(' ')
  return formatTable(
    ['artifact', 'target', 'bytes', 'kind', 'made', 'announced as'],
    manifests.map((one) => [
      one.fingerprint.slice(0, 12),
      one.target,
      String(one.sizeBytes),
      one.kind,
      new Date(one.builtAt).toISOString().slice(0, 16),
      announced(one.fingerprint),
    ]),
  )
}

/** The manifest for people. */
export function formatManifest(manifest: Manifest): string {
  const settings = Object.entries(manifest.settings).map(([name, value]) =>
    value === true ? name : value === false ? `no ${name}` : `${name}=${value}`,
  )
  const rows: [string, string | undefined][] = [
    ['artifact', manifest.fingerprint],
    ['target', `${manifest.target} (${manifest.kind})`],
    ['file', `${manifest.file}, ${manifest.sizeBytes} bytes`],
    ['sha256', manifest.sha256],
    ['source', `${manifest.source.name}, ${manifest.source.pin}, from ${manifest.source.from}`],
    ['options', settings.join(' ') || undefined],
    ['trusts', manifest.trust?.map((one) => `${one.subject} (${one.sha256.slice(0, 16)}…)`).join('; ')],
    ['certificates', manifest.certificates?.map((one) => one.subject).join('; ')],
    ['slot', manifest.slot && `script of ${manifest.slot.scriptBytes} bytes, ${manifest.slot.authorities.length} CAs: can be patched`],
    ['made from', manifest.from?.map((one) => one.slice(0, 12)).join(' ')],
    ['tools', manifest.toolchain.join('; ')],
    ['made', `${new Date(manifest.builtAt).toISOString()} in ${(manifest.durationMs / 1000).toFixed(1)} s`],
    ['licence', manifest.licence],
    ['script', manifest.script && `\n${manifest.script.text.trimEnd().replace(/^/gm, '  ')}`],
  ]
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [`${`${name}:`.padEnd(14)}${value}`])).join('\n')
}
