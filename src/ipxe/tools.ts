// The artifact generator in one hand: sources, trees, builds, library, publisher, on their folders. Made by server and cli; the faces take it.
import { availableParallelism } from 'node:os'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import * as z from 'zod'
import { type Artifacts, createArtifacts } from './artifact.ts'
import { type Builds, createBuilds } from './build.ts'
import { createPublisher, type Publisher } from './publish.ts'
import { type Run, runTool } from './run.ts'
import { createSources, type Sources } from './source.ts'
import { createTrees, type Trees } from './tree.ts'

export type IpxeTools = {
  readonly sources: Sources
  readonly trees: Trees
  readonly artifacts: Artifacts
  readonly publisher: Publisher
  readonly builds: Builds
  readonly run: Run
  readonly recipesFolder: string
  readonly now: () => number
  readonly close: () => Promise<void>
}

export type IpxeOptions = {
  readonly depot: string
  readonly state: string
  /** The project's ipxe/: recipes, templates, the pinned release. */
  readonly recipesFolder: string
  readonly site: Readonly<Record<string, string>>
  readonly now: () => number
  readonly run?: Run
  /** Makes at the same time; the cores are shared among them. */
  readonly concurrency?: number
  readonly cores?: number
  readonly treeLimitBytes?: number
  readonly timeoutMs?: number
}

const standardShape = z.strictObject({
  name: z.string(),
  url: z.string(),
  revision: z.string(),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  description: z.string().optional(),
})

/** Opens the folders; half-done jobs of a process that died are removed. */
export async function openIpxeTools(options: IpxeOptions): Promise<IpxeTools> {
  const {
    depot,
    state,
    recipesFolder,
    site,
    now,
    run = runTool,
    cores = availableParallelism(),
    treeLimitBytes = 3 * 2 ** 30,
    timeoutMs = 1_800_000,
  } = options
  const concurrency = options.concurrency ?? Math.max(1, Math.floor(cores / 2))
  const jobs = Math.max(1, Math.ceil(cores / concurrency))
  const folder = join(state, 'ipxe')
  const standard = standardShape.parse(parse(await readFile(join(recipesFolder, 'source.yaml'), 'utf8')))
  const sources = createSources({
    folder: join(folder, 'sources'),
    run,
    now,
    standard: { from: standard.url, name: standard.name, revision: standard.revision, commit: standard.commit },
  })
  const trees = createTrees({ folder: join(folder, 'trees'), run, jobs, limitBytes: treeLimitBytes, timeoutMs, now })
  const artifacts = createArtifacts({ depot })
  const publisher = createPublisher({ depot, artifacts, now })
  const jobFolder = join(folder, 'jobs', String(process.pid))
  await rm(jobFolder, { recursive: true, force: true })
  await removeOrphans(join(folder, 'jobs'), /^(\d+)$/)
  await removeOrphans(join(folder, 'trees'), /^\.new-.*-(\d+)$/)
  const builds = createBuilds({
    folder: jobFolder,
    sources,
    trees,
    artifacts,
    publisher,
    run,
    recipesFolder,
    site,
    jobs,
    concurrency,
    timeoutMs,
    now,
  })
  const close = async (): Promise<void> => {
    await builds.close()
    await trees.settle()
    await rm(jobFolder, { recursive: true, force: true })
  }
  return { sources, trees, artifacts, publisher, builds, run, recipesFolder, now, close }
}

/** What a process left behind that ended in the middle: folders whose names carry its number. */
async function removeOrphans(folder: string, pattern: RegExp): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = Number(pattern.exec(name)?.[1] ?? Number.NaN)
    if (!Number.isNaN(pid) && !isAlive(pid)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
