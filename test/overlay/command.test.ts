// `bivouac overlay …` as an operator types it, on the folders alone and over the API of a running server.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Agent, fetch } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliFolder, createCliFolder } from '../support/cli.ts'
import { goodOverlay } from '../support/overlay.ts'

const mac = '52:54:00:12:34:56'
const files: Record<string, string | Uint8Array> = {
  'depot/stations/kiosk-1.yaml': `mac: ${mac}\nlayers: [base]\nvariables: { room: B12 }\n`,
  'depot/stations/secret-1.yaml': 'mac: 52:54:00:12:34:57\nlayers: [base, hidden]\n',
  'depot/stations/saved-1.yaml': 'mac: 52:54:00:12:34:58\n',
  'depot/configs/52-54-00-12-34-58.tar.gz': goodOverlay('saved-1'),
  'depot/overlays/base/etc/motd.ejs': 'room <%= it.variables.room ?? "none" %>\n',
  'depot/overlays/base/layer.yaml': 'packages: [htop]\nroot: locked\n',
  'depot/overlays/hidden/layer.yaml': 'files: { etc/wifi: { secret: wifi } }\n',
  'depot/overlays/broken/layer.yaml': 'packages: [a]\nserviecs: {}\n',
  'depot/secrets/wifi': 'hunter2-hunter2\n',
}

function layFiles(folder: CliFolder): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder.path, name)), { recursive: true })
    writeFileSync(join(folder.path, name), text)
  }
}

describe('overlays by command, without a server', { timeout: 120_000 }, () => {
  const folder = createCliFolder()
  // A port where nobody listens.
  const run = (...args: string[]) => folder.run('--http.port=9', ...args)
  beforeAll(() => layFiles(folder))
  afterAll(() => folder.remove())

  it('shows what a station gets and from which layer', () => {
    const { stdout, code } = run('overlay', 'show', 'kiosk-1', '--files')
    expect(code).toBe(0)
    expect(stdout).toMatch(/layers +base\n/)
    expect(stdout).toMatch(/packages +alpine-base, htop\n/)
    expect(stdout).toMatch(/^-rw-r--r-- +0:0 +9 +base +etc\/motd$/m)
    const view = JSON.parse(run('--json', 'overlay', 'show', mac).stdout)
    expect(view).toMatchObject({ mac, layers: ['base'], isSecret: false, warnings: [], hostname: 'kiosk-1', pinned: null, booted: null })
  })

  it('shows an archive of the depot all the same', () => {
    const view = JSON.parse(run('--json', 'overlay', 'show', 'saved-1').stdout)
    expect(view).toMatchObject({
      path: 'configs/52-54-00-12-34-58.tar.gz',
      from: 'station',
      layers: [],
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })

  it('writes the archive, but none with secrets unless told, and none on trial', () => {
    const out = join(folder.path, 'out.apkovl.tar.gz')
    expect(run('overlay', 'render', 'kiosk-1', '-o', out, '--dry-run').stdout).toMatch(/^would write /)
    expect(() => statSync(out)).toThrow(/ENOENT/)
    expect(run('overlay', 'render', 'kiosk-1', '-o', out).code).toBe(0)
    expect(execFileSync('tar', ['-xzOf', out, 'etc/motd'], { encoding: 'utf8' })).toBe('room B12\n')
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const refused = run('overlay', 'render', 'secret-1', '-o', join(folder.path, 'secret.tar.gz'))
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--with-secrets')])
    expect(run('overlay', 'render', 'secret-1', '--with-secrets', '-o', out).code).toBe(0)
    expect(execFileSync('tar', ['-xzOf', out, 'etc/wifi'], { encoding: 'utf8' })).toBe('hunter2-hunter2\n')
  })

  it('shows no secret, wherever one asks', () => {
    for (const words of [
      ['show', 'secret-1', '--files'],
      ['lint', 'secret-1'],
      ['lint', 'hidden'],
      ['history', 'secret-1'],
    ]) {
      const { stdout, stderr } = run('overlay', ...words)
      expect(stdout + stderr).not.toContain('hunter2')
    }
    expect(run('overlay', 'show', 'secret-1', '--files').stdout).toMatch(/secrets +yes[^\n]*\n[\s\S]*etc\/wifi \(secret\)/)
  })

  it('finds what is wrong with a layer, an archive, a station', () => {
    const layer = run('overlay', 'lint', 'broken')
    expect([layer.code, layer.stdout]).toEqual([2, expect.stringMatching(/unknown-key: overlays\/broken\/layer\.yaml:2: .*did you mean "services"/)])
    writeFileSync(join(folder.path, 'cut.tar.gz'), goodOverlay('x').subarray(0, 100))
    expect(run('overlay', 'lint', './cut.tar.gz').stdout).toMatch(/overlay-gzip: it cannot be served/)
    expect(run('overlay', 'lint', 'base')).toMatchObject({ code: 0, stdout: 'nothing to warn of\n' })
    expect(run('overlay', 'lint', './depot/overlays/base')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/give the name of a layer, such as base/),
    })
    expect(run('overlay', 'lint', 'nobody')).toMatchObject({ code: 4 })
  })

  it('says what is missing when there is no version yet', () => {
    expect(run('overlay', 'history', 'kiosk-1')).toMatchObject({ code: 0, stdout: expect.stringContaining('no version is kept yet') })
    expect(run('overlay', 'diff', 'kiosk-1').stderr).toMatch(/nothing is known of what this station last booted/)
    expect(run('overlay', 'rollback', 'kiosk-1', '3').stderr).toMatch(/there is no version 3/)
    expect(run('overlay', 'rollback', 'kiosk-1', 'x')).toMatchObject({ code: 2 })
    const help = run('overlay', '--help').stdout
    for (const name of ['show', 'lint', 'render', 'diff', 'history', 'rollback']) expect(help).toMatch(new RegExp(`^  bivouac overlay ${name} `, 'm'))
  })
})

describe('overlays by command, over the API', () => {
  const folder = createCliFolder()
  let base: string
  let token: string
  beforeAll(async () => {
    layFiles(folder)
    const server = await folder.serve()
    base = server.base
    token = /operator token, shown only now: (\S+)/.exec(server.output())?.[1] ?? ''
  }, 120_000)
  afterAll(() => folder.remove())
  const run = (...args: string[]) => folder.run('--server', base, '--token', token, ...args)
  // Commands that run to their end hold this process up: a connection kept open would be closed by the server meanwhile.
  const dispatcher = new Agent({ pipelining: 0 })
  const get = (path: string, headers = {}) => fetch(base + path, { headers, dispatcher })

  it('keeps what was served as a version, tells what changed, and goes back', async () => {
    expect((await get('/configs/52-54-00-12-34-58.tar.gz')).status).toBe(200)
    const { versions } = JSON.parse(run('--json', 'overlay', 'history', 'saved-1').stdout)
    expect(versions).toMatchObject([{ version: 1, kind: 'found' }])
    // Another one, put in its place by hand and served.
    const place = join(folder.path, 'depot/configs/52-54-00-12-34-58.tar.gz')
    writeFileSync(place, goodOverlay('other'))
    await expect
      .poll(async () => (await get('/configs/52-54-00-12-34-58.tar.gz')).status && run('overlay', 'history', 'saved-1').stdout, { timeout: 60_000 })
      .toMatch(/^2 /m)
    expect(run('overlay', 'diff', 'saved-1', '1', '2').stdout).toMatch(/M etc\/hostname[^\n]*\n {2}@@ -1,1 \+1,1 @@\n {2}-saved-1\n {2}\+other/)
    expect(run('overlay', 'rollback', 'saved-1', '1', '--dry-run').stdout).toMatch(/would be put back/)
    expect(readFileSync(place)).toEqual(Buffer.from(goodOverlay('other')))
    expect(run('overlay', 'rollback', 'saved-1').stdout).toMatch(/version 1 .* is put back as configs\//)
    expect(readFileSync(place)).toEqual(Buffer.from(goodOverlay('saved-1')))
    expect(run('overlay', 'history', 'saved-1').stdout).toMatch(/^3 .*rollback +[0-9a-f]+ +\d+ +(operator|local) +to version 1/m)
  }, 120_000)

  it('shows and writes a composed one', async () => {
    expect(JSON.parse(run('--json', 'overlay', 'show', 'kiosk-1').stdout)).toMatchObject({ layers: ['base'], files: expect.any(Array) })
    const out = join(folder.path, 'remote.tar.gz')
    expect(run('overlay', 'render', 'kiosk-1', '-o', out).code).toBe(0)
    expect(execFileSync('tar', ['-xzOf', out, 'etc/motd'], { encoding: 'utf8' })).toBe('room B12\n')
    expect(run('overlay', 'render', 'secret-1', '-o', out)).toMatchObject({ code: 2, stderr: expect.stringContaining('--with-secrets') })
  }, 120_000)

  it('gives whole files and changes only to who has the token', async () => {
    const at = '/api/v1/stations/kiosk-1/overlay'
    expect((await get(at)).status).toBe(200)
    expect((await get(`${at}/archive`)).status).toBe(401)
    const whole = await get(`${at}/archive`, { authorization: `Bearer ${token}` })
    expect([whole.status, whole.headers.get('content-disposition')]).toEqual([200, 'attachment; filename="52-54-00-12-34-56.apkovl.tar.gz"'])
    expect((await whole.arrayBuffer()).byteLength).toBe(Number(whole.headers.get('content-length')))
    expect((await get('/api/v1/stations/secret-1/overlay/archive', { authorization: `Bearer ${token}` })).status).toBe(400)
    expect((await fetch(`${base}${at}/rollback?to=1`, { method: 'POST', dispatcher })).status).toBe(401)
    expect(await (await get(`${at}/diff?from=x`)).json()).toMatchObject({ status: 400, code: 'version' })
    expect(await (await get('/api/v1/stations/nobody/overlay')).json()).toMatchObject({ status: 404, code: 'station' })
    expect(await (await get('/api/v1/stations/secret-1/overlay')).text()).not.toContain('hunter2')
  }, 120_000)
})
