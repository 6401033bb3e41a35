// The way back: a station in its configuration phase fetches a script and sends its overlay. GET /save and /save/<token>, PUT or POST of
// /save/<token>/<mac>.tar.gz[.b64] and of /configs/<mac>.tar.gz[.b64] with a token. Called by app.
// What is closed, cut, broken or another station's changes nothing. No answer and no event holds a token.
import type { Context, Hono } from 'hono'
import { findMac, formatMacHyphen, type Ipv4, type Mac } from '../boot/address.ts'
import { BivouacError, InputError, OutsideError } from '../boot/error.ts'
import { createAllowance } from '../station/allowance.ts'
import { type Phase, phaseTokenPattern } from '../station/phase.ts'
import { url as urlValue } from '../station/text.ts'
import { callOf, type HttpEnv, httpBaseOf, peerOf } from './caller.ts'
import type { AppDeps, SaveDeps } from './deps.ts'
import { statusOf } from './problem.ts'
import type { Rights } from './rights.ts'
import { describeSaved, respondSaved } from './saved.ts'
import { receiveUpload } from './upload.ts'

/** Tries of one address at once, and how fast it may try again; uploads of all at one moment. */
const tries = { burst: 20, refillMs: 3_000, uploads: 8 }

type Caller = { readonly peer: string; readonly mac: Mac | undefined }
/** Who may save what: a phase's stations, or an operator everything. */
type Grant = { readonly phase: Phase } | { readonly operator: true }

/** Adds the routes. `rights` are shared with the API, so that wrong tokens count together. */
export function addSaveRoutes(app: Hono<HttpEnv>, deps: AppDeps, save: SaveDeps, rights: Rights): void {
  const allowance = createAllowance({ now: deps.now, burst: tries.burst, refillMs: tries.refillMs })
  let uploads = 0

  app.get('/save', (c) => guarded(c, () => sendScriptByAddress(c)))
  app.get('/save/:token', (c) => guarded(c, () => sendScript(c, save.phases.verify(c.req.param('token')), c.req.param('token'))))
  app.on(['PUT', 'POST'], '/save/:token/:file', (c) => guarded(c, () => takeByPath(c)))
  app.on(['PUT', 'POST'], '/configs/:file', (c) => guarded(c, () => takeByHeader(c)))

  async function guarded(c: Context<HttpEnv>, answer: () => Promise<Response>): Promise<Response> {
    const peer = peerOf(callOf(c))
    if (!allowance.take(peer)) return say(429, 'too many tries from this address; wait a little', { 'Retry-After': '5' })
    return answer()
  }

  async function sendScriptByAddress(c: Context<HttpEnv>): Promise<Response> {
    const { peer, mac } = callerOf(c)
    const token = mac && (await save.phases.renew(mac))
    if (!mac || !token)
      return refuse(
        { peer, mac },
        mac
          ? `no configuration phase is open for ${mac}`
          : 'it is not known by its address which station this is; take the command with the token that "bivouac save open" printed',
      )
    return sendScript(c, save.phases.find(mac), token)
  }

  async function sendScript(c: Context<HttpEnv>, phase: Phase | undefined, token: string): Promise<Response> {
    const caller = callerOf(c)
    if (!phase) return refuse(caller, 'no configuration phase is open for this token')
    const mac = caller.mac && phase.macs.includes(caller.mac) ? caller.mac : (phase.macs[0] as Mac)
    const base = deps.httpBase ?? httpBaseOf(callOf(c))
    const path = `/save/${token}/${formatMacHyphen(mac)}.tar.gz`
    const { protocol, hostname, host, port } = new URL(base)
    const data = { mac, url: urlValue(base + path), host, name: hostname, port: Number(port || 80), path, isPlain: protocol === 'http:' }
    return new Response(save.scripts.render('save.sh', data), { headers })
  }

  async function takeByPath(c: Context<HttpEnv>): Promise<Response> {
    const phase = save.phases.verify(c.req.param('token') ?? '')
    return take(c, phase ? { phase } : 'no configuration phase is open for this token')
  }

  async function takeByHeader(c: Context<HttpEnv>): Promise<Response> {
    const token = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
    const phase = token !== undefined && phaseTokenPattern.test(token) ? save.phases.verify(token) : undefined
    if (phase) return take(c, { phase })
    const refusal = await rights.check(c, 'operate')
    if (refusal?.status === 429) return say(429, 'too many wrong tokens from this address; wait a little', { 'Retry-After': '6' })
    if (!refusal) return take(c, { operator: true })
    return take(
      c,
      token === undefined
        ? 'a token is needed: the one that bivouac save open prints, or an operator token'
        : 'no configuration phase is open for this token',
    )
  }

  async function take(c: Context<HttpEnv>, grant: Grant | string): Promise<Response> {
    const caller = callerOf(c)
    const [, stem = '', ending] = /^(.+?)(?:\.apkovl)?\.tar\.gz(\.b64)?$/.exec(c.req.param('file') ?? '') ?? []
    const mac = findMac(stem)
    if (typeof grant === 'string') return refuse({ ...caller, mac: mac ?? caller.mac }, grant)
    if (!mac) return say(404, 'the name is <mac>.tar.gz or <mac>.tar.gz.b64')
    const fault = 'phase' in grant ? findFault(grant.phase, mac, caller) : undefined
    if (fault !== undefined) return refuse({ ...caller, mac }, fault)
    if (uploads >= tries.uploads) return say(503, 'too many uploads at this moment; try again', { 'Retry-After': '5' })
    uploads++
    try {
      return await receive(c, mac, caller, 'phase' in grant, ending !== undefined)
    } catch (error) {
      if (!(error instanceof BivouacError)) throw error
      return refuse({ ...caller, mac }, error.message, error instanceof InputError && error.code === 'upload-too-big' ? 413 : statusOf(error))
    } finally {
      uploads--
    }
  }

  async function receive(c: Context<HttpEnv>, mac: Mac, { peer }: Caller, isPhase: boolean, isBase64: boolean): Promise<Response> {
    const upload = await receiveUpload({
      body: c.req.raw.body,
      contentLength: c.req.header('content-length'),
      isBase64,
      maxBytes: save.maxBytes,
      folder: save.folder,
    })
    try {
      // A phase that was closed while the bytes were coming is closed.
      if (isPhase && !save.phases.find(mac)) throw new OutsideError('phase-closed', 'the configuration phase was closed meanwhile', false)
      const who = isPhase ? `station ${peer}` : 'operator'
      const saved = await save.accept({ mac, file: upload.path, who, kind: isPhase ? 'saved' : 'uploaded' })
      if (saved.path !== undefined) save.onSaved(saved.path)
      deps.emit({ at: deps.now(), kind: 'saved', mac, ...ipOf(peer), detail: { by: isPhase ? 'phase' : 'operator', ...describeSaved(saved) } })
      return respondSaved(saved, mac, c.req.header('accept')?.includes('application/json') === true)
    } catch (error) {
      if (error instanceof OutsideError && error.code === 'phase-closed') return refuse({ peer, mac }, error.message)
      throw error
    } finally {
      await upload.remove()
    }
  }

  function callerOf(c: Context<HttpEnv>): Caller {
    const peer = peerOf(callOf(c))
    return { peer, mac: save.findCaller(peer) }
  }

  function refuse({ peer, mac }: Caller, reason: string, status = 403): Response {
    if (deps.mayTell?.('save-refused', peer) !== false)
      deps.emit({ at: deps.now(), kind: 'save-refused', ...(mac && { mac }), ...ipOf(peer), detail: { reason: reason.slice(0, 300) } })
    return say(status, reason, status === 413 ? { Connection: 'close' } : {})
  }
}

/** A phase is for its stations: for no other name, and not from another station's address. */
function findFault({ macs }: Phase, mac: Mac, caller: Caller): string | undefined {
  if (!macs.includes(mac)) return `the phase is open for ${macs.join(', ')}, not for ${mac}`
  if (caller.mac && !macs.includes(caller.mac)) return `the phase is open for ${macs.join(', ')}, but ${caller.peer} is the address of ${caller.mac}`
  return undefined
}

const ipOf = (peer: string): { ip?: Ipv4 } => (/^[0-9.]{7,15}$/.test(peer) ? { ip: peer as Ipv4 } : {})

const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' }

/** Whoever pipes a refusal into a shell runs a shell script that says it. */
function say(status: number, reason: string, more: Record<string, string> = {}): Response {
  const text = reason.replace(/[^A-Za-z0-9 .,:;/_()+=@%<>-]+/g, '?').slice(0, 300)
  return new Response(`echo 'Bivouac: ${text}' >&2; exit 1\n`, { status, headers: { ...headers, ...more } })
}
