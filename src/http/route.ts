// Routes of the operator API as data: what each takes, answers and needs. From one table come the handlers and the OpenAPI document. Used by every file of the API.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { InputError } from '../boot/error.ts'
import { checkValue, formatPath, MistakesError } from '../store/mistake.ts'
import type { HttpEnv } from './caller.ts'
import type { Right, Rights } from './rights.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One route below `/api/v1`. `path` has Hono's form (`/stations/:station`). */
export type Route<B extends z.ZodType = z.ZodType> = {
  readonly method: Method
  readonly path: string
  readonly right: Right
  /** One line for the document. */
  readonly summary: string
  /** What the query may hold. It is read by the handler; here for the document. */
  readonly query?: z.ZodObject
  /** What the body must be. Absent: no body is read. */
  readonly body?: B
  /** A body that may be left out and that the handler reads itself; here for the document. */
  readonly accepts?: z.ZodType
  /** What a 200 holds. */
  readonly answer?: z.ZodType
  /** What is answered with 200 to `?dryRun=true`, where that is not the same. */
  readonly preview?: z.ZodType
  /** The media type of an answer that is no JSON. */
  readonly type?: string
  /** Is it also told live, as server-sent events? */
  readonly isLive?: boolean
  /** 200 unless it is another. */
  readonly status?: number
}

/** What a handler is given: the caller's context, the checked body, who asks. */
export type Asking<B extends z.ZodType> = {
  readonly c: Context<HttpEnv>
  readonly body: z.output<B>
  readonly by: string
  readonly part: (name: string) => string
}

export type RouteTable = {
  /** Adds a route. What the handler answers is sent as JSON (undefined: 204), unless it is a Response. What it throws is the app's to answer, as problem+json. */
  readonly add: <B extends z.ZodType>(route: Route<B>, handler: (asking: Asking<B>) => unknown) => void
  readonly list: () => readonly Route[]
}

const base = '/api/v1'
const bodyBytesMax = 1 << 20

export function createRouteTable(app: Hono<HttpEnv>, rights: Rights): RouteTable {
  const routes: Route[] = []
  return {
    list: () => routes,
    add(route, handler) {
      routes.push(route)
      app.on(route.method, base + route.path, async (c) => {
        const refusal = await rights.check(c, route.right)
        if (refusal) return refusal
        const body = (route.body ? await readBody(c, route.body) : undefined) as z.output<NonNullable<typeof route.body>>
        const answer = await handler({ c, body, by: rights.nameOf(c), part: (name) => c.req.param(name) ?? '' })
        return answer instanceof Response ? answer : json(answer, route.status)
      })
    },
  }
}

/** An answer whose keys are told by its guide, not here. */
export const anyObject = z.looseObject({})
export const anyList = z.array(anyObject)

/** The value as an answer that nobody keeps; nothing at all is 204. */
export function json(value: unknown, status = 200): Response {
  if (value === undefined) return new Response(null, { status: 204, headers: { 'Cache-Control': 'no-store' } })
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' }
  return new Response(JSON.stringify(value), { status, headers })
}

/** Only JSON: a form is what another site's page could make a browser send. Throws InputError. */
async function readBody<B extends z.ZodType>(c: Context<HttpEnv>, schema: B): Promise<z.output<B>> {
  const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json' && type !== 'application/merge-patch+json')
    throw new InputError('body-type', 'send the body as JSON, with Content-Type: application/json')
  if (Number(c.req.header('content-length') ?? 0) > bodyBytesMax) throw new InputError('body-size', `the body may have ${bodyBytesMax} bytes`)
  const text = await c.req.text()
  if (text.length > bodyBytesMax) throw new InputError('body-size', `the body may have ${bodyBytesMax} bytes`)
  const checked = checkValue(schema, parseJson(text), (path) => ({ path: formatPath(path) }))
  if ('mistakes' in checked) throw new MistakesError('the body', checked.mistakes)
  return checked.value
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InputError('body-json', `the body is not JSON: ${(error as Error).message}`)
  }
}

const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string().describe('stable, for machines'),
  detail: z.string().describe('what is wrong and what to do, for people'),
})

/** Adds the route of the document, which is made when it is asked for: then all routes are in the table. */
export const addDescription = ({ add, list }: RouteTable, version: string): void =>
  add({ method: 'GET', path: '/openapi.json', right: 'read', summary: 'This document', answer: z.looseObject({ openapi: z.string() }) }, () =>
    describeRoutes(list(), version),
  )

/** The OpenAPI 3.1 document of these routes. */
export function describeRoutes(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = base + route.path.replace(/:([a-z]+)/gi, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: describeRoute(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Bivouac',
      version,
      description: 'Boot server for diskless Alpine stations: the operator API.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: "An operator token; reading from the server's own machine needs none." },
      },
      schemas: { Problem: toSchema(problemSchema, 'output') },
    },
  }
}

function describeRoute(route: Route): object {
  const { method, path, right, summary, query, body, accepts = body, answer, type } = route
  const { status = answer || type ? 200 : 204 } = route
  const names = [...path.matchAll(/:([a-z]+)/gi)].map(([, name = '']) => name)
  const problem = (description: string) => ({
    description,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  })
  return {
    operationId: operationId(method, path),
    summary,
    description: `Needs the role ${right}.`,
    parameters: [
      ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...Object.entries(query?.shape ?? {}).map(([name, schema]) => ({ name, in: 'query', schema: toSchema(schema as z.ZodType, 'input') })),
    ],
    ...(accepts && { requestBody: { required: body !== undefined, content: { 'application/json': { schema: toSchema(accepts, 'input') } } } }),
    responses: {
      ...(route.preview && { 200: { description: 'with dryRun: what would be done', content: jsonOf(route.preview) } }),
      [status]: { description: 'done', ...(status !== 204 && { content: describeAnswer(route) }) },
      401: problem('no token, or a wrong one'),
      403: problem('a token with a lower role'),
      ...(names.length && { 404: problem('there is none') }),
      ...((accepts || query) && { 400: problem('the body or the query is wrong; the detail says where') }),
      ...(accepts && { 409: problem('it is in use, or taken') }),
      default: problem('refused; the code says why'),
    },
  }
}

const jsonOf = (schema: z.ZodType): object => ({ 'application/json': { schema: toSchema(schema, 'output') } })

function describeAnswer({ answer, preview, status = 200, type, isLive }: Route): object {
  const text = { schema: { type: 'string' } }
  return {
    ...(answer && jsonOf(preview && status === 200 ? z.union([answer, preview]) : answer)),
    ...(type && { [type]: {} }),
    ...(isLive && { 'text/event-stream': text }),
  }
}

const operationId = (method: Method, path: string): string =>
  method.toLowerCase() +
  path
    .split(/[/:.-]+/)
    .filter(Boolean)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('')

/** JSON Schema 2020-12, which OpenAPI 3.1 speaks. What has no schema (a parser's result) is described by what goes in. */
function toSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...plain } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' }) as Record<string, unknown>
  return plain
}
