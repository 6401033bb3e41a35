// One artifact made by make: a private copy of a built tree, content-named files, exactly one make, the result taken out. Used by build.
// Two jobs never share a tree: iPXE gives the wrong binary then.
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { OutsideError } from '../boot/error.ts'
import type { Artifacts, Manifest } from './artifact.ts'
import { isThere } from './file.ts'
import { sha256 } from './fingerprint.ts'
import type { Input } from './input.ts'
import { type BuildFiles, createProgressReader, failureOf, makeArguments, type Progress, resultsOf } from './make.ts'
import { describeCertificates } from './patch.ts'
import type { Run } from './run.ts'
import type { Sources } from './source.ts'
import { announcedNames, fileName, formatTarget } from './target.ts'
import type { Trees } from './tree.ts'

export type JobOptions = {
  readonly folder: string
  readonly run: Run
  readonly sources: Sources
  readonly trees: Trees
  readonly artifacts: Artifacts
  readonly jobs: number
  readonly timeoutMs: number
  readonly now: () => number
}

export type JobWatch = {
  readonly onLine: (line: string) => void
  readonly onProgress: (progress: Progress & { total?: number }) => void
  readonly signal: AbortSignal
}

/** Makes it, or finds it made. @throws OutsideError `build-failed` with make's own lines, `tool-timeout`; ConflictError `cancelled`. */
export async function makeArtifact(input: Input, name: string | undefined, options: JobOptions, watch: JobWatch): Promise<Manifest> {
  const known = await options.artifacts.find(input.fingerprint)
  if (known) return known
  const startedAt = options.now()
  const folder = join(options.folder, `${input.fingerprint.slice(0, 16)}-${randomBytes(4).toString('hex')}`)
  await mkdir(folder, { recursive: true })
  try {
    await copyTree(input, folder, options, watch)
    const files = await writeFiles(input, join(folder, 'in'))
    await runMake(input, files, folder, options, watch)
    return await keepResult(input, name, folder, startedAt, options)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function copyTree(input: Input, folder: string, { sources, trees }: JobOptions, watch: JobWatch): Promise<void> {
  const { source, target, toolchain, headers, config } = input
  const ask = {
    source,
    sourceFolder: sources.folderOf(source),
    binDir: target.binDir,
    toolchainId: toolchain.id,
    crossPrefix: toolchain.crossPrefix,
    headers,
    ...(config ? { config } : {}),
  }
  return trees.copyTo(ask, join(folder, 'tree'), watch)
}

/** Files under the hash of their content, with paths as make in tree/src sees them. */
async function writeFiles(input: Input, folder: string): Promise<BuildFiles> {
  await mkdir(folder)
  const write = async (kind: string, content: string | Uint8Array): Promise<string> => {
    const [stem = '', ending = ''] = kind.split('.')
    const name = `${stem}-${sha256(content).slice(0, 16)}.${ending}`
    await writeFile(join(folder, name), content, { mode: 0o600 })
    return `../../in/${name}`
  }
  const all = (kind: string, texts: readonly string[]): Promise<string[]> => Promise.all(texts.map((text) => write(kind, text)))
  return {
    embed: input.embed === undefined ? [] : [await write('script.ipxe', input.embed)],
    trust: await all('ca.pem', input.trust),
    cert: await all('cert.pem', input.certificates),
    ...(input.key === undefined ? {} : { privateKey: await write('key.pem', input.key) }),
  }
}

async function runMake(
  input: Input,
  files: BuildFiles,
  folder: string,
  { run, jobs, timeoutMs }: JobOptions,
  { onLine, onProgress, signal }: JobWatch,
): Promise<void> {
  const words = makeArguments({
    ...{ target: input.target, files, trustOverride: input.trustOverride, debug: input.debug, crossPrefix: input.toolchain.crossPrefix },
    ...{ epoch: input.source.epoch, commit: input.source.pin.startsWith('commit:') ? input.source.pin.slice(7) : '', fingerprint: input.fingerprint },
    ...(input.config ? { config: input.config } : {}),
  })
  const reader = createProgressReader()
  const follow = (line: string): void => {
    onLine(line)
    const progress = reader.read(line)
    if (progress) onProgress(progress)
  }
  const { code, tail } = await run(['nice', '-n', '5', 'make', `-j${jobs}`, ...words], {
    cwd: join(folder, 'tree/src'),
    timeoutMs,
    signal,
    onLine: follow,
  })
  if (code !== 0) throw new OutsideError('build-failed', `make failed:\n${failureOf(tail).join('\n')}`, false)
}

async function keepResult(
  input: Input,
  name: string | undefined,
  folder: string,
  startedAt: number,
  { artifacts, now }: JobOptions,
): Promise<Manifest> {
  const { target, source, slot, script, toolchain } = input
  const results = resultsOf(target).map((path) => join(folder, 'tree/src', path))
  for (const path of results)
    if (!(await isThere(path))) throw new OutsideError('build-failed', `make ended well but left no ${basename(path)}`, false)
  const [file = '', bin, zinfo, bootSector] = results
  const keptParts = slot && bin && zinfo ? { bin, zinfo, ...(bootSector ? { bootSector } : {}) } : undefined
  const parts = keptParts && Object.fromEntries(Object.entries(keptParts).map(([role, path]) => [role, basename(path)]))
  return artifacts.add(
    {
      ...{ fingerprint: input.fingerprint, kind: 'built', target: formatTarget(target), file: fileName(target), announce: announcedNames(target) },
      ...{ source: { name: source.name, from: source.from, pin: source.pin }, settings: { ...input.settings } },
      ...(name === undefined ? {} : { name }),
      ...(input.config ? { config: input.config } : {}),
      ...(input.debug.length > 0 ? { debug: [...input.debug] } : {}),
      ...(script === undefined ? {} : { script: { text: script, sha256: sha256(script) } }),
      ...(slot ? { slot: { scriptBytes: slot.scriptBytes, authorities: [...slot.authorities] } } : {}),
      ...(input.trust.length > 0 ? { trust: describeCertificates(input.trust) } : {}),
      ...(input.certificates.length > 0 ? { certificates: describeCertificates(input.certificates) } : {}),
      ...(input.key === undefined ? {} : { hasKey: true }),
      ...(parts ? { parts } : {}),
      ...{ toolchain: [...toolchain.versions], durationMs: now() - startedAt, builtAt: startedAt },
    },
    { [fileName(target)]: file, ...Object.fromEntries(Object.values(keptParts ?? {}).map((path) => [basename(path), path])) },
  )
}
