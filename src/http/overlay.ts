// The API of overlays, below /api/v1/stations/:station/overlay: what stands in one, what changed, going back. Called by app; asks the desk.
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { Context } from 'hono'
import { z } from 'zod'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import type { Records } from '../boot/record.ts'
import { archiveName, chooseMac, type Desk, type VersionName } from '../overlay/desk.ts'
import type { HttpEnv } from './caller.ts'
import { overlayDiff, overlayHistory, overlayShape, releasedShape, rollbackShape, warningsShape } from './overlay-shape.ts'
import type { Route, RouteTable } from './route.ts'

type Handler = (c: Context<HttpEnv>, mac: Mac, by: string) => unknown

const versions = z.object({ from: z.string().optional(), to: z.string().optional() })
const rollbackQuery = z.object({ to: z.string().optional(), dryRun: z.enum(['true', 'false']).optional() })

/** Adds the routes. What holds whole files is for admins, since overlays hold password hashes and keys. */
export function addOverlayApi({ add }: RouteTable, desk: Desk, records: () => Records): void {
  const route = (
    method: 'GET' | 'POST',
    path: string,
    more: Pick<Route, 'right' | 'summary' | 'query' | 'answer' | 'type'>,
    handler: Handler,
  ): void =>
    add({ method, path: `/stations/:station/overlay${path}`, ...more }, async ({ c, part, by }) =>
      handler(c, await findStation(part('station'), records(), desk), by),
    )
  route('GET', '', { right: 'read', summary: "What the station's overlay holds, and from which layer", answer: overlayShape }, (_, mac) =>
    desk.show(mac),
  )
  route('GET', '/lint', { right: 'read', summary: 'What the station would lack, with remedies', answer: warningsShape }, (_, mac) => desk.lint(mac))
  route('GET', '/history', { right: 'read', summary: 'All versions that are kept, with who and when', answer: overlayHistory }, async (_, mac) => ({
    mac,
    ...(await desk.history(mac)),
  }))
  route('GET', '/diff', { right: 'read', summary: 'What differs between two versions', query: versions, answer: overlayDiff }, (c, mac) => {
    const { from = 'booted', to = 'current' } = c.req.query()
    return desk.diff(mac, parseVersion(from), parseVersion(to))
  })
  route(
    'GET',
    '/archive',
    {
      right: 'admin',
      summary: 'The overlay itself, a .tar.gz',
      query: z.object({ secrets: z.enum(['true', 'false']).optional() }),
      type: 'application/gzip',
    },
    async (c, mac) => sendArchive(await desk.render(mac, c.req.query('secrets') === 'true'), mac, c.req.method === 'HEAD'),
  )
  route(
    'POST',
    '/rollback',
    { right: 'operate', summary: 'Go back to an earlier version', query: rollbackQuery, answer: rollbackShape },
    (c, mac, by) => {
      const { to, dryRun } = c.req.query()
      return desk.rollback(mac, to === undefined ? undefined : parseNumber(to), by, dryRun === 'true')
    },
  )
  route('POST', '/release', { right: 'operate', summary: 'Let a held version go', answer: releasedShape }, async (_, mac, by) => ({
    mac,
    released: await desk.release(mac, by),
  }))
}

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
