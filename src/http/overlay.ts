// The API of overlays, below /api/v1/stations/:station/overlay: what stands in one, what changed, going back. Called by app; asks the desk.
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { Context, Hono } from 'hono'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import type { Records } from '../boot/record.ts'
import { archiveName, chooseMac, type Desk, type VersionName } from '../overlay/desk.ts'
import { callOf, type HttpEnv, peerOf } from './caller.ts'
import type { Right, Rights } from './rights.ts'

type Handler = (c: Context<HttpEnv>, mac: Mac) => Response | Promise<Response>

/** Adds the routes. What holds whole files needs the right to write, since overlays hold password hashes and keys. */
export function addOverlayApi(app: Hono<HttpEnv>, desk: Desk, records: () => Records, rights: Rights): void {
  const route = (method: 'GET' | 'POST', path: string, right: Right, handler: Handler): void => {
    app.on(method, `/api/v1/stations/:station/overlay${path}`, async (c) => {
      const refused = await rights.check(c, right)
      return refused ?? handler(c, await findStation(c.req.param('station') ?? '', records(), desk))
    })
  }
  route('GET', '', 'read', async (_, mac) => json(await desk.show(mac)))
  route('GET', '/lint', 'read', async (_, mac) => json(await desk.lint(mac)))
  route('GET', '/history', 'read', async (_, mac) => json({ mac, ...(await desk.history(mac)) }))
  route('GET', '/diff', 'read', async (c, mac) => {
    const { from = 'booted', to = 'current' } = c.req.query()
    return json(await desk.diff(mac, parseVersion(from), parseVersion(to)))
  })
  route('GET', '/archive', 'admin', async (c, mac) =>
    sendArchive(await desk.render(mac, c.req.query('secrets') === 'true'), mac, c.req.method === 'HEAD'),
  )
  route('POST', '/rollback', 'operate', async (c, mac) => {
    const { to, dryRun } = c.req.query()
    return json(await desk.rollback(mac, to === undefined ? undefined : parseNumber(to), whoOf(c), dryRun === 'true'))
  })
  route('POST', '/release', 'operate', async (c, mac) => json({ mac, released: await desk.release(mac, whoOf(c)) }))
}

const whoOf = (c: Context<HttpEnv>): string => `operator at ${peerOf(callOf(c)) || 'this machine'}`

/** The MAC meant by a path part: a MAC in any spelling, or the name of a record. Throws MissingError. */
async function findStation(text: string, { stations }: Records, desk: Desk): Promise<Mac> {
  const mac = findMac(text)
  const macs = mac ? [mac] : stations.find(({ name }) => name === text)?.macs
  if (!macs) throw new MissingError('station', `"${text.slice(0, 64)}" is neither a MAC address nor the name of a station`)
  return chooseMac(macs, mac, desk.history)
}

/** `current`, `booted`, or a version's number. Throws InputError. */
export function parseVersion(text: string): VersionName {
  return text === 'current' || text === 'booted' ? text : parseNumber(text)
}

function parseNumber(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text))
    throw new InputError('version', `"${text.slice(0, 40)}" is no version: give current, booted, or a number of the history`)
  return Number(text)
}

function sendArchive({ file, digest, sizeBytes }: Awaited<ReturnType<Desk['render']>>, mac: Mac, isHead: boolean): Response {
  const headers = {
    'Content-Type': 'application/gzip',
    'Content-Length': String(sizeBytes),
    'Content-Disposition': `attachment; filename="${archiveName(mac)}"`,
    'Repr-Digest': `sha-256=:${Buffer.from(digest, 'hex').toString('base64')}:`,
    'Cache-Control': 'no-store',
  }
  // A body made for HEAD would never be read, and its file never closed.
  return new Response(isHead ? null : (Readable.toWeb(createReadStream(file)) as ReadableStream), { headers })
}

const json = (value: unknown): Response =>
  new Response(JSON.stringify(value), {
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' },
  })
