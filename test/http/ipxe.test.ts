import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { HttpEnv } from '../../src/http/caller.ts'
import { addIpxeApi } from '../../src/http/ipxe.ts'
import { createRouteTable } from '../../src/http/route.ts'
import { refuse, respondProblem } from '../../src/http/problem.ts'
import type { Rights } from '../../src/http/rights.ts'
import { type Camp, openCamp } from '../ipxe/support/stand-in.ts'
import { describeWith } from '../support/tool.ts'

const base = '/api/v1/ipxe'
// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely
type Answer = any

describeWith(['make', 'nice'], 'the artifact generator over HTTP', () => {
  let camp: Camp
  let app: Hono<HttpEnv>
  const rights: Rights = {
    check: async (c, right) =>
      right === 'read' || c.req.header('authorization') === 'Bearer good' ? undefined : refuse(401, 'token-needed', 'a token is needed'),
    nameOf: () => 'test',
  }
  beforeEach(async () => {
    camp = await openCamp()
    writeFileSync(
      join(camp.tools.recipesFolder, 'undionly.yaml'),
      'name: undionly\ndescription: for BIOS\ntarget: bin/undionly.kpxe\nscript: { template: boot }\n',
    )
    app = new Hono<HttpEnv>()
    addIpxeApi(createRouteTable(app, rights), camp.tools)
    app.onError((error) => respondProblem(error))
  })
  afterEach(() => camp.close())

  const get = async (path: string): Promise<Response> => app.request(base + path)
  const send = async (
    path: string,
    body?: unknown,
    headers: Record<string, string> = { authorization: 'Bearer good' },
    method = 'POST',
  ): Promise<Response> =>
    app.request(base + path, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const json = async (response: Response | Promise<Response>): Promise<Answer> => (await response).json()

  const build = async (body: unknown): Promise<Answer> => {
    const { id } = await json(send('/builds', body))
    await camp.tools.builds.wait(id)
    return json(get(`/builds/${id}`))
  }

  it('answers a build at once, streams its log to the end, and gives the artifact with its hash', async () => {
    const asked = await send('/builds', { recipe: 'undionly', over: { options: { NET_TUNNEL: true } }, publish: true })
    expect(asked.status).toBe(202)
    const { id, state, url } = await json(asked)
    expect([asked.headers.get('location'), state]).toEqual([url, 'queued'])
    expect(camp.tools.builds.isBeingBuilt('gpxe.kpxe')).toBe(true)
    const log = await (await get(`/builds/${id}/log`)).text()
    expect(log).toContain('event: line\ndata: "  [LD] bin/undionly.kpxe"\n\n')
    expect(log.trimEnd().split('\n').at(-1)).toMatch(/^data: \{.*"state":"done"/)

    const done = await json(get(`/builds/${id}`))
    const artifact = await json(app.request(done.artifact))
    expect(artifact).toMatchObject({
      target: 'bin/undionly.kpxe',
      settings: { NET_TUNNEL: true },
      script: { text: '#!ipxe\nchain http://10.0.0.1/boot.ipxe\n' },
    })
    const file = await app.request(artifact.download)
    const bytes = new Uint8Array(await file.arrayBuffer())
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifact.sha256)
    expect([file.headers.get('etag'), Number(file.headers.get('content-length'))]).toEqual([`"${artifact.sha256}"`, bytes.length])
    expect((await json(get('/published'))).current.names).toEqual({ 'undionly.kpxe': artifact.fingerprint, 'gpxe.kpxe': artifact.fingerprint })
    const head = await app.request(artifact.download, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
  })

  it('shares a recipe as a URL, which builds the same thing', async () => {
    const { url, query } = await json(send('/recipe', { recipe: 'undionly', over: { options: { WAIT_TIMEOUT: 5 } } }))
    expect(await json(app.request(url))).toMatchObject({
      what: 'bin/undionly.kpxe',
      recipe: { options: { WAIT_TIMEOUT: 5 }, script: { template: 'boot' } },
    })
    const [one, two] = [await build({ recipe: 'undionly', over: { options: { WAIT_TIMEOUT: 5 } } }), await json(send(`/builds?${query}`))]
    expect((await camp.tools.builds.wait(two.id)).fingerprint).toBe(one.fingerprint)
  })

  it('publishes, patches, compares, prunes and goes back', async () => {
    const slotted = { target: 'bin-x86_64-efi/snponly.efi', script: { text: '#!ipxe\necho one\n' }, slot: { scriptBytes: 1024 } }
    const one = await build({ recipe: slotted })
    expect((await send(`/artifacts/${one.fingerprint}/publish`, {})).status).toBe(200)
    const patched = await send(`/artifacts/${one.fingerprint}/patch`, { script: '#!ipxe\necho two\n', publish: ['x86_64-efi/snponly.efi'] })
    expect(patched.status).toBe(201)
    const { fingerprint } = await json(patched)
    expect((await json(get('/published'))).current.names['x86_64-efi/snponly.efi']).toBe(fingerprint)
    expect((await json(get(`/artifacts/${one.fingerprint}/diff/${fingerprint}`))).map(([path]: [string]) => path)).toContain('script.text')
    await send('/rollback')
    expect((await json(get('/published'))).current.names['x86_64-efi/snponly.efi']).toBe(one.fingerprint)
    expect((await json(send('/prune', { keep: 0 }))).removed).toEqual([])
    expect((await send(`/artifacts/${one.fingerprint}/patch`, {})).status).toBe(400)
  })

  it('tells a form what there is', async () => {
    expect((await json(get('/targets'))).media.pcbios.kpxe).toContain('network boot')
    const { source, options } = await json(get('/options?binDir=bin-x86_64-efi'))
    expect(source).toBe('stand-in')
    expect(options).toContainEqual({ name: 'DOWNLOAD_FILE', header: 'general.h', kind: 'flag', description: 'From a file', default: true })
    expect(await json(get('/recipes'))).toEqual([{ name: 'undionly', description: 'for BIOS', target: 'bin/undionly.kpxe' }])
    expect((await json(get('/sources')))[0]).toMatchObject({ name: 'stand-in', kind: 'directory' })
  })

  it.each([
    ['POST', '/builds'],
    ['DELETE', '/builds/1234'],
    ['POST', '/artifacts/abcdef/publish'],
    ['POST', '/artifacts/abcdef/patch'],
    ['POST', '/rollback'],
    ['POST', '/prune'],
  ])("%s %s needs the operator's token", async (method, path) => {
    expect((await send(path, undefined, {}, method)).status).toBe(401)
  })

  it.each<[string, unknown, number, string]>([
    ['no target', { recipe: { target: 'bin/x;id' } }, 400, 'target-unknown'],
    ['a member that no recipe has', { recipe: { target: 'bin/undionly.kpxe', shell: 'id' } }, 400, 'recipe-bad'],
    ['a file of the server', { recipe: { target: 'bin/undionly.kpxe', script: { file: '/etc/shadow' } } }, 400, 'recipe-bad'],
    ['a recipe by path', { recipe: '/etc/passwd' }, 400, 'body-bad'],
    ['a recipe beside the folder', { recipe: '../x' }, 400, 'body-bad'],
    ['a name to announce with a path', { recipe: 'undionly', publish: [] }, 400, 'body-bad'],
    ['a recipe that is not there', { recipe: 'absent' }, 404, 'recipe-missing'],
    ['a number', 5, 400, 'body-bad'],
    ['too much', { recipe: 'x'.repeat(2 << 20) }, 400, 'body-too-long'],
  ])('refuses %s before make runs', async (_, body, status, code) => {
    const answer = await send('/builds', body)
    expect([answer.status, (await json(answer)).code]).toEqual([status, code])
    expect(await camp.makes()).toEqual([])
  })

  it('refuses what a page of another site could send', async () => {
    const answer = await app.request(`${base}/builds`, {
      method: 'POST',
      headers: { authorization: 'Bearer good', 'content-type': 'text/plain' },
      body: '{"recipe":"undionly"}',
    })
    expect([answer.status, (await json(answer)).code]).toEqual([400, 'body-type'])
  })

  it("tells make's error, and cancels", async () => {
    const { id } = await json(send('/builds', { recipe: 'undionly', over: { options: { BREAK_IT: true } } }))
    await camp.tools.builds.wait(id).catch(() => {})
    expect(await json(get(`/builds/${id}`))).toMatchObject({
      state: 'failed',
      error: { code: 'build-failed', message: expect.stringContaining("'BREAK_IT' is broken") },
    })
    const slow = await json(send('/builds', { recipe: 'undionly', over: { options: { SLOW_IT: true } } }))
    expect((await send(`/builds/${slow.id}`, undefined, undefined, 'DELETE')).status).toBe(200)
    await camp.tools.builds.wait(slow.id).catch(() => {})
    expect((await json(get(`/builds/${slow.id}`))).state).toBe('cancelled')
    expect((await get('/builds/none')).status).toBe(404)
    expect((await get('/artifacts/ffffff')).status).toBe(404)
  })

  it('never shows a key', async () => {
    const { generateKeyPairSync } = await import('node:crypto')
    const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
    const shown = await json(send('/recipe', { recipe: { target: 'bin/undionly.kpxe', key } }))
    expect([shown.hasKey, shown.query, JSON.stringify(shown).includes('PRIVATE')]).toEqual([true, undefined, false])
    const { artifact } = await build({ recipe: { target: 'bin/undionly.kpxe', script: { text: '#!ipxe\nshell\n' }, key } })
    expect(JSON.stringify(await json(app.request(artifact)))).not.toContain('PRIVATE')
  })
})
