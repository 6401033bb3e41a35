// The operator's page at `/`: stations and how far each has come, live. Rendered here whole or as rows; the browser's script only swaps rows.
// Called by app. Same right as reading the API; it changes nothing.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Context, Hono } from 'hono'
import { html } from 'hono/html'
import { bootSteps } from '../boot/event.ts'
import type { HttpEnv } from './caller.ts'
import type { AppDeps } from './deps.ts'
import type { Rights } from './rights.ts'
import { listStations, type StationView } from './view.ts'

type Html = ReturnType<typeof html>

const assetFolder = join(import.meta.dirname, '../../assets')
const assetTypes = { 'page.css': 'text/css; charset=utf-8', 'page.js': 'text/javascript; charset=utf-8' } as const

/** Everything from here, nothing inline: a name that gets past the escaping can still not run. */
const safety = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
}

const lookBack = 10_000

/** Adds `/` and `/assets/`. `/?part=stations` is the rows alone. */
export function addPage(app: Hono<HttpEnv>, deps: AppDeps, rights: Rights): void {
  app.get('/', async (c) => {
    const refusal = await rights.check(c, 'read')
    if (refusal) return respond(renderRefusal(c), refusal.status, refusal.headers.get('www-authenticate'))
    const rows = renderRows(listStations(deps.records.current(), deps.leases.list(), deps.store.events.read({ limit: lookBack })))
    return respond(c.req.query('part') === 'stations' ? rows : renderPage(deps, rows))
  })
  for (const [name, type] of Object.entries(assetTypes)) app.get(`/assets/${name}`, () => respondAsset(name, type))
}

async function respond(body: Html, status = 200, challenge: string | null = null): Promise<Response> {
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    ...safety,
    ...(challenge && { 'WWW-Authenticate': challenge }),
  }
  return new Response(String(await body), { status, headers })
}

const assets = new Map<string, Uint8Array<ArrayBuffer>>()

/** Read once; small, and part of this version. */
function respondAsset(name: string, type: string): Response {
  const bytes = assets.get(name) ?? new Uint8Array(readFileSync(join(assetFolder, name)))
  assets.set(name, bytes)
  return new Response(bytes, { headers: { 'Content-Type': type, 'Cache-Control': 'no-cache', ...safety } })
}

function renderPage({ status, records, now }: AppDeps, rows: Html): Html {
  const { version, startedAt, listening } = status()
  const problems = [...status().problems, ...records.problems()].map(({ message }) => message)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bivouac</title>
<link rel="stylesheet" href="/assets/page.css">
<script type="module" src="/assets/page.js"></script>
</head>
<body>
<header><h1>Bivouac</h1><p>Version ${version}, up for ${formatAge(now() - startedAt)}, ${listening.length} open doors. <span id="live" role="status">not live</span></p></header>
<main>
${problems.length ? html`<ul class="problems">${problems.map((text) => html`<li>${text}</li>`)}</ul>` : ''}
<table>
<caption>Stations</caption>
<thead><tr><th scope="col">Station</th><th scope="col">MAC</th><th scope="col">Address</th><th scope="col">Profile</th><th scope="col">Boot</th><th scope="col">Last seen</th></tr></thead>
<tbody id="stations">${rows}</tbody>
</table>
</main>
</body>
</html>
`
}

function renderRows(stations: readonly StationView[]): Html {
  if (!stations.length) return html`<tr><td colspan="6">Nobody has been here yet. Switch a station on, or run "npm run try".</td></tr>`
  return html`${stations.map(renderRow)}`
}

function renderRow({ name, macs, address, profile, lastAt, step, reason, report, ...boot }: StationView): Html {
  const seen = lastAt === null ? '' : html`<time datetime="${new Date(lastAt).toISOString()}">${new Date(lastAt).toISOString()}</time>`
  const reached = step === null ? 0 : bootSteps.indexOf(step) + 1
  const release = typeof report?.release === 'string' ? html` <small>${report.release}</small>` : ''
  const why = reason === null ? '' : html`<br><small>${reason}</small>`
  return html`<tr class="${stateOf({ step, reason, ...boot })}"><th scope="row">${name ?? 'no record'}</th><td>${macs.join(' ')}</td><td>${address ?? ''}</td><td>${profile ?? ''}</td><td><progress max="${bootSteps.length}" value="${reached}"></progress> ${describe({ step, reason, ...boot })}${release}${why}</td><td>${seen}</td></tr>
`
}

type Progress = Pick<StationView, 'step' | 'due' | 'missing' | 'isUp' | 'reason'>

const stateOf = ({ isUp, missing, step, reason }: Progress): string =>
  missing || (isUp && reason !== null) ? 'missing' : isUp ? 'up' : step ? 'booting' : 'unseen'

function describe({ step, due, missing, isUp, reason }: Progress): string {
  if (missing) return `${step ?? ''}, but ${missing} never came`
  if (isUp) return reason === null ? 'up' : 'up, but'
  return step ? `${step}${due ? `, next ${due}` : ''}` : 'not seen'
}

function renderRefusal(c: Context<HttpEnv>): Html {
  const port = new URL(c.req.url).port || '80'
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bivouac</title><link rel="stylesheet" href="/assets/page.css"></head>
<body><main><h1>Bivouac</h1>
<p>This page is for people on the server itself. From your desk: <code>ssh -L ${port}:localhost:${port} SERVER</code>, then open <code>http://localhost:${port}/</code>.</p>
<p>Programs send the operator token: <code>Authorization: Bearer TOKEN</code> to <code>/api/v1/</code>.</p>
</main></body></html>
`
}

function formatAge(ageMs: number): string {
  const minutes = Math.floor(ageMs / 60_000)
  if (minutes < 1) return `${Math.floor(ageMs / 1000)} s`
  if (minutes < 60) return `${minutes} min`
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`
}
