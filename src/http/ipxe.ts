// The artifact generator over HTTP, below /api/v1/ipxe: builds, artifacts, names, forms. Called by app; every route says which right it needs.
// Nothing of a request names a file of this machine or reaches a shell: recipes hold everything themselves.
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { Context } from 'hono'
import * as z from 'zod'
import { InputError } from '../boot/error.ts'
import type { Manifest } from '../ipxe/artifact.ts'
import type { Build } from '../ipxe/build.ts'
import { macrosOf } from '../ipxe/condition.ts'
import { defaultOf } from '../ipxe/option.ts'
import { patchArtifact } from '../ipxe/patch.ts'
import { describeRecipe, parseRecipe, type Recipe } from '../ipxe/recipe.ts'
import { listRecipes, readRecipe } from '../ipxe/recipe-file.ts'
import { formatRecipeQuery, parseRecipeQuery } from '../ipxe/recipe-url.ts'
import { binDirs, mediaOf } from '../ipxe/target.ts'
import type { IpxeTools } from '../ipxe/tools.ts'
import { checkBody, readBody } from './body.ts'
import type { HttpEnv } from './caller.ts'
import { streamBuild } from './ipxe-log.ts'
import type { Right } from './rights.ts'
import { anyList, anyObject, type Route, type RouteTable } from './route.ts'

type Handler = (c: Context<HttpEnv>) => Response | Promise<Response>

const base = '/api/v1/ipxe'

const names = z.array(z.string().max(120)).min(1).max(16)
const buildShape = z.strictObject({
  /** A recipe, or the name of one of ours with `over` for what differs. */
  recipe: z.union([z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'is the name of a recipe'), z.record(z.string(), z.unknown())]).optional(),
  over: z.record(z.string(), z.unknown()).optional(),
  /** true: announce it under its usual names when it is done. */
  publish: z.union([z.boolean(), names]).default(false),
})
const patchShape = z.strictObject({
  script: z.string().max(65_536).optional(),
  trust: z.array(z.string().max(65_536)).max(8).optional(),
  publish: z.union([z.boolean(), names]).default(false),
})

const summaries: Readonly<Record<string, string>> = {
  'POST /builds': 'Build a loader from a recipe',
  'GET /builds': 'All builds, running and done',
  'GET /builds/:id': 'One build',
  'GET /builds/:id/log': "A build's output; live as server-sent events where those are accepted",
  'DELETE /builds/:id': 'Stop a build',
  'GET /artifacts': 'Built loaders',
  'GET /artifacts/:id': 'One built loader, with all that went into it',
  'GET /artifacts/:id/file': 'Its bytes',
  'GET /artifacts/:id/diff/:other': 'What differs between two',
  'POST /artifacts/:id/publish': 'Announce it under names that firmware asks for',
  'POST /artifacts/:id/patch': 'Put another script or CA into it, without a compiler',
  'POST /prune': 'Remove old ones that nothing uses',
  'GET /published': 'What is announced now, and was before',
  'POST /rollback': 'Announce again what was announced before',
  'GET /sources': "iPXE's sources that are here",
  'GET /targets': 'What can be built',
  'GET /options': 'Options of a build, with what they need',
  'GET /recipes': 'Recipes by name',
  'GET /recipe': "A recipe from a shared URL's query",
  'POST /recipe': 'A recipe as it would be built',
}

const publishShape = z.strictObject({ names: names.optional() })
const pruneShape = z.strictObject({ keep: z.number().int().min(0).max(10_000).default(20) })

/** What differs from an object in and nothing else out. */
const forms: Readonly<Record<string, Pick<Route, 'accepts' | 'answer' | 'status' | 'type' | 'query'>>> = {
  'POST /builds': { accepts: buildShape, answer: anyObject, status: 202 },
  'GET /builds': { answer: anyList },
  'GET /builds/:id/log': { type: 'text/event-stream' },
  'GET /artifacts': { answer: anyList },
  'GET /artifacts/:id/file': { type: 'application/octet-stream' },
  'POST /artifacts/:id/publish': { accepts: publishShape, answer: anyObject },
  'POST /artifacts/:id/patch': { accepts: patchShape, answer: anyObject, status: 201 },
  'POST /prune': { accepts: pruneShape, answer: z.object({ removed: z.array(z.string()), freedBytes: z.int() }) },
  'GET /published': { answer: z.looseObject({ current: anyObject.nullable(), history: anyList }) },
  'GET /sources': { answer: anyList },
  'GET /options': { query: z.object({ source: z.string().optional(), binDir: z.string().optional() }), answer: anyObject },
  'GET /recipes': { answer: z.array(z.looseObject({ name: z.string(), description: z.string(), target: z.string() })) },
  'POST /recipe': { accepts: buildShape, answer: anyObject },
}

/** Adds the routes. */
export function addIpxeApi({ add }: RouteTable, tools: IpxeTools): void {
  const route = (method: 'GET' | 'POST' | 'DELETE', path: string, right: Right, handler: Handler): void => {
    const key = `${method} ${path}`
    add({ method, path: `/ipxe${path}`, right, summary: summaries[key] ?? path, ...(forms[key] ?? { answer: anyObject }) }, ({ c }) => handler(c))
  }
  const { builds, artifacts, publisher, sources } = tools
  const part = (c: Context<HttpEnv>, name: string): string => c.req.param(name) ?? ''

  route('POST', '/builds', 'admin', (c) => startBuild(tools, c))
  route('GET', '/builds', 'read', () => json(builds.list().map(viewBuild)))
  route('GET', '/builds/:id', 'read', (c) => json(viewBuild(builds.find(part(c, 'id')))))
  route('GET', '/builds/:id/log', 'read', (c) => streamBuild(builds, part(c, 'id'), viewBuild, c.req.method === 'HEAD'))
  route('DELETE', '/builds/:id', 'admin', (c) => json(viewBuild(builds.cancel(part(c, 'id')))))

  route('GET', '/artifacts', 'read', async () => json((await artifacts.list()).map(viewArtifact)))
  route('GET', '/artifacts/:id', 'read', async (c) => json(viewArtifact(await artifacts.show(part(c, 'id')))))
  route('GET', '/artifacts/:id/file', 'read', async (c) => sendArtifact(tools, await artifacts.show(part(c, 'id')), c.req.method === 'HEAD'))
  route('GET', '/artifacts/:id/diff/:other', 'read', async (c) =>
    json(artifacts.diff(await artifacts.show(part(c, 'id')), await artifacts.show(part(c, 'other')))),
  )
  route('POST', '/artifacts/:id/publish', 'admin', async (c) => {
    const body = checkBody(publishShape, await readBody(c))
    return json(await publisher.publish(await artifacts.show(part(c, 'id')), body.names))
  })
  route('POST', '/artifacts/:id/patch', 'admin', async (c) => {
    const { script, trust, publish } = checkBody(patchShape, await readBody(c))
    const change = { ...(script === undefined ? {} : { script }), ...(trust === undefined ? {} : { trust }) }
    const patched = await patchArtifact(artifacts, await artifacts.show(part(c, 'id')), change, tools.now)
    if (publish !== false) await publisher.publish(patched, publish === true ? undefined : publish)
    return json(viewArtifact(patched), 201, { Location: artifactUrl(patched) })
  })
  route('POST', '/prune', 'admin', async (c) => {
    const { keep } = checkBody(pruneShape, await readBody(c))
    return json(await artifacts.prune(keep, await publisher.inUse()))
  })

  route('GET', '/published', 'read', async () => json({ current: (await publisher.current()) ?? null, history: await publisher.history() }))
  route('POST', '/rollback', 'admin', async () => json(await publisher.rollback()))

  route('GET', '/sources', 'read', async () => json(await sources.list()))
  route('GET', '/targets', 'read', () => json({ binDirs: [...binDirs.values()], media: mediaOf }))
  route('GET', '/options', 'read', (c) => listOptions(tools, c))
  route('GET', '/recipes', 'read', async () => json(await listRecipes(tools.recipesFolder)))
  route('GET', '/recipe', 'read', (c) => json(viewRecipe(parseRecipeQuery(queryOf(c)))))
  route('POST', '/recipe', 'read', async (c) => json(viewRecipe(await recipeOf(tools, c, checkBody(buildShape, await readBody(c))))))
}

async function startBuild(tools: IpxeTools, c: Context<HttpEnv>): Promise<Response> {
  const body = checkBody(buildShape, await readBody(c))
  const build = tools.builds.start(await recipeOf(tools, c, body), body.publish)
  return json(viewBuild(build), 202, { Location: `${base}/builds/${build.id}` })
}

/** From the body; without one from the query, so that a shared URL can be posted as it is. */
async function recipeOf(tools: IpxeTools, c: Context<HttpEnv>, { recipe, over }: z.infer<typeof buildShape>): Promise<Recipe> {
  if (recipe === undefined) return parseRecipeQuery(queryOf(c))
  if (typeof recipe === 'string') return readRecipe(tools.recipesFolder, recipe, over)
  return parseRecipe({ ...recipe, ...over })
}

const queryOf = (c: Context<HttpEnv>): string => new URL(c.req.url).search.slice(1)

async function listOptions({ sources }: IpxeTools, c: Context<HttpEnv>): Promise<Response> {
  const { source: name, binDir: folder = 'bin' } = c.req.query()
  const binDir = binDirs.get(folder)
  if (!binDir) throw new InputError('target-unknown', `bin directories: ${[...binDirs.keys()].join(' ')}`, { path: 'binDir' })
  const source = await sources.find(name)
  const [book, defaults] = await Promise.all([sources.options(source), sources.defaults(source, binDir.platform)])
  const defined = macrosOf(binDir, defaults)
  return json({
    source: source.name,
    options: [...book.options.values()].map((option) => ({
      name: option.name,
      header: option.header,
      kind: option.kind,
      description: option.description,
      default: defaultOf(option, defined),
    })),
  })
}

function sendArtifact({ artifacts }: IpxeTools, manifest: Manifest, isHead: boolean): Response {
  const headers = {
    'Content-Type': manifest.file.endsWith('.efi') ? 'application/efi' : 'application/octet-stream',
    'Content-Length': String(manifest.sizeBytes),
    'Content-Disposition': `attachment; filename="${manifest.file}"`,
    ETag: `"${manifest.sha256}"`,
    'Repr-Digest': `sha-256=:${Buffer.from(manifest.sha256, 'hex').toString('base64')}:`,
    Link: `<${artifactUrl(manifest)}>; rel="describedby"`,
  }
  // A body made for HEAD would never be read, and its file never closed.
  const body = isHead ? null : (Readable.toWeb(createReadStream(artifacts.pathOf(manifest))) as ReadableStream)
  return new Response(body, { headers })
}

const artifactUrl = ({ fingerprint }: Pick<Manifest, 'fingerprint'>): string => `${base}/artifacts/${fingerprint}`

const viewBuild = (build: Build): object => ({
  ...build,
  url: `${base}/builds/${build.id}`,
  log: `${base}/builds/${build.id}/log`,
  ...(build.state === 'done' && build.fingerprint ? { artifact: artifactUrl({ fingerprint: build.fingerprint }) } : {}),
})

const viewArtifact = (manifest: Manifest): object => ({ ...manifest, url: artifactUrl(manifest), download: `${artifactUrl(manifest)}/file` })

/** A key goes in, but never comes out. */
function viewRecipe(recipe: Recipe): object {
  const { key, ...shown } = recipe
  const query = key === undefined ? formatRecipeQuery(recipe) : undefined
  return {
    what: describeRecipe(recipe),
    recipe: shown,
    hasKey: key !== undefined,
    ...(query === undefined ? {} : { query, url: `${base}/recipe?${query}` }),
  }
}

function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', ...headers },
  })
}
