// `bivouac serve` as a process: first start, what it says, signals, and the commands that ask it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeTar } from '../../src/alpine/tar-write.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

let folder: CliFolder
beforeEach(() => {
  folder = createCliFolder()
})
afterEach(() => folder.remove())

const mac = '52-54-00-12-34-56'

/** A release of three small files and an overlay: enough for a script that boots. */
function fillDepot(): void {
  const write = (name: string, bytes: string | Uint8Array) => {
    mkdirSync(join(folder.path, 'depot', name, '..'), { recursive: true })
    writeFileSync(join(folder.path, 'depot', name), bytes)
  }
  for (const part of ['vmlinuz', 'initramfs', 'modloop']) write(`releases/alpine/3.22.2/x86_64/lts/${part}-lts`, `${part} bytes`)
  write('stations/kiosk.yaml', `mac: ${mac}\nprofile: alpine\n`)
  write(`configs/${mac}.tar.gz`, gzipSync(writeTar([{ kind: 'file', path: 'etc/hostname', bytes: Buffer.from('kiosk\n') }])))
}

const until = async (what: () => Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + 10_000
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error('waited in vain')
    await new Promise((next) => setTimeout(next, 50))
  }
}

describe('serve', () => {
  it('starts from nothing, says what listens where, and ends well at SIGTERM', async () => {
    const server = await folder.serve()
    expect(server.output()).toMatch(/depot +\.\/depot \(new\), state \.\/state/)
    expect(server.output()).toMatch(/^ {2}dhcp {5}off/m)
    expect(server.output()).toMatch(/operator token, shown only now: bvc_/)
    expect((await fetch(`${server.base}/healthz`)).status).toBe(204)
    const startedStop = Date.now()
    expect(await server.stop()).toBe(0)
    expect(Date.now() - startedStop).toBeLessThan(5000)
  })

  it('goes on and ends when nobody reads what it says', async () => {
    const server = await folder.serve()
    server.child.stdout?.pause()
    // More lines than the pipe and our own end of it hold.
    for (let round = 0; round < 40; round++) {
      const asks = Array.from({ length: 50 }, (_, at) => fetch(`${server.base}/up/52:54:00:00:${at + 10}:${round + 10}`, { method: 'POST' }))
      expect((await Promise.all(asks)).every(({ status }) => status === 204)).toBe(true)
    }
    expect(await server.stop()).toBe(0)
  })

  it('is not ended by SIGHUP while it starts', async () => {
    const starting = folder.serve()
    const lock = join(folder.path, 'state/lock.1')
    // The lock is taken before anything is open; the file is whole from its first moment.
    while (!existsSync(lock)) await nextTurn()
    process.kill(JSON.parse(readFileSync(lock, 'utf8')).pid, 'SIGHUP')
    expect((await fetch(`${(await starting).base}/healthz`)).status).toBe(204)
  })

  it('serves a depot as it is when what it lacks cannot be made', async () => {
    mkdirSync(join(folder.path, 'depot'))
    writeFileSync(join(folder.path, 'depot/overlays'), 'a file where a folder is to be')
    const server = await folder.serve()
    expect(server.output()).toMatch(/served as it is: .*EEXIST/)
    expect((await fetch(`${server.base}/healthz`)).status).toBe(204)
    await server.stop()
    const ended = folder.run('--depot', join(folder.path, 'depot/overlays'), 'serve')
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(/the depot .* cannot be made: EEXIST.*--depot/)])
  })

  it('shows the token once and keeps only its hash', async () => {
    const first = await folder.serve()
    const [token = ''] = /bvc_[\w-]+/.exec(first.output()) ?? []
    const answer = await fetch(`${first.base}/api/v1/reload`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
    expect(answer.status).toBe(200)
    expect((await fetch(`${first.base}/api/v1/reload`, { method: 'POST' })).status).toBe(401)
    await first.stop()
    const state = join(folder.path, 'state')
    const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
    expect(files.length).toBeGreaterThan(0)
    for (const { parentPath, name } of files) expect(readFileSync(join(parentPath, name), 'utf8')).not.toContain(token)
    const second = await folder.serve()
    expect(second.output()).not.toMatch(/bvc_/)
  })

  it('shows the token at the first start that succeeds', async () => {
    const taken = createServer()
    await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done))
    const { port } = taken.address() as AddressInfo
    const ended = folder.run('--http.address', '127.0.0.1', '--http.port', String(port), '--tftp.enabled', 'false', 'serve')
    taken.close()
    expect([ended.code, ended.stdout]).toEqual([3, expect.not.stringContaining('bvc_')])
    expect((await folder.serve()).output()).toMatch(/shown only now: bvc_/)
  })

  it('refuses a second server on the same state', async () => {
    await folder.serve()
    const ended = folder.run('--http.port', '0', '--tftp.port', '0', 'serve')
    expect(ended.code).toBe(3)
    expect(ended.stderr).toMatch(/in use by process \d+/)
  })

  it('gives a station its script, files and overlay, and the commands tell of it', async () => {
    fillDepot()
    const server = await folder.serve()
    const get = async (path: string) => fetch(`${server.base}/${path}`, { redirect: 'manual' })
    const script = await (await get(`boot/${mac}.ipxe?buildarch=x86_64&platform=efi`)).text()
    const [, kernel = '', line = ''] = /^kernel (\S+) (.*?)( &&.*)?$/m.exec(script) ?? []
    expect(line.replace(/\/t\/[A-Za-z0-9_-]{48}\//, '/t/TICKET/')).toContain(`apkovl=${server.base}/t/TICKET/configs/${mac}.tar.gz`)
    expect(line).toContain(`BOOTIF=01-${mac}`)
    expect(await (await fetch(kernel)).text()).toBe('vmlinuz bytes')
    expect((await get(`configs/${mac}.tar.gz`)).status).toBe(200)
    expect((await fetch(`${server.base}/up/${mac}`, { method: 'POST' })).status).toBe(204)

    const trace = folder.run('--server', server.base, 'trace', 'kiosk')
    expect(trace.stdout).toMatch(/up\n[\s\S]*script[\s\S]*kernel[\s\S]*overlay[\s\S]*up/)
    expect(folder.run('--server', server.base, 'events', mac, '--kind', 'up').stdout).toMatch(/52:54:00:12:34:56\s+up/)
    expect(folder.run('--server', server.base, 'status').stdout).toMatch(/1 stations/)
    expect(folder.run('--server', server.base, 'leases').stdout).toBe('no leases\n')
    const [answer] = JSON.parse(folder.run('--json', '--server', server.base, 'explain', 'kiosk').stdout).explanations
    expect(answer.script).toMatchObject({ profile: 'alpine', boots: true })
  })

  it('follows events behind those that it has shown, none twice and none left out', async () => {
    const server = await folder.serve()
    const ask = (name: string) => fetch(`${server.base}/boot/52-54-00-00-00-${name}.ipxe`).then((response) => response.text())
    await ask('01')
    const follower = folder.start('--server', server.base, '--json', 'events', '--since', '10m', '--follow')
    await until(async () => /00:00:01/.test(follower.output()))
    await ask('02')
    await until(async () => /00:00:02/.test(follower.output()))
    const lines = follower.output().trim().split('\n')
    expect(new Set(lines).size).toBe(lines.length)
    expect(lines.filter((line) => /"kind":"(started|script)"/.test(line))).toHaveLength(3)
  })

  it('takes changed records without a restart, and again after SIGHUP', async () => {
    fillDepot()
    const server = await folder.serve()
    const script = async () => (await fetch(`${server.base}/boot/${mac}.ipxe`)).text()
    expect(await script()).toMatch(/^kernel /m)
    writeFileSync(join(folder.path, 'depot/stations/kiosk.yaml'), `mac: ${mac}\nprofile: local\n`)
    server.child.kill('SIGHUP')
    await until(async () => /sanboot/.test(await script()))
    writeFileSync(join(folder.path, 'depot/stations/kiosk.yaml'), `mac: ${mac}\nprofile: [`)
    await until(async () => /record-bad/.test(server.output()))
    expect(await script()).toMatch(/sanboot/)
  })

  it('never sends a station into a boot without its overlay', async () => {
    fillDepot()
    const server = await folder.serve()
    rmSync(join(folder.path, `depot/configs/${mac}.tar.gz`))
    await until(async () => !/apkovl=/.test(await (await fetch(`${server.base}/boot/${mac}.ipxe`)).text()))
    const missing = await fetch(`${server.base}/configs/${mac}.tar.gz`)
    expect([missing.status, await missing.text()]).toEqual([404, ''])
  })

  it('reports a broken template with its line and goes on with ours', async () => {
    fillDepot()
    mkdirSync(join(folder.path, 'depot/templates'), { recursive: true })
    writeFileSync(join(folder.path, 'depot/templates/station.ipxe.ejs'), '#!ipxe\n<%= it.nothing.here %>\n')
    const server = await folder.serve()
    expect(await (await fetch(`${server.base}/boot/${mac}.ipxe`)).text()).toMatch(/^kernel /m)
    expect(server.output()).toMatch(/record-bad[\s\S]*station\.ipxe\.ejs/)
  })

  it('tells at the start and in its status what is wrong in the depot, with file and line', async () => {
    fillDepot()
    mkdirSync(join(folder.path, 'depot/templates'), { recursive: true })
    writeFileSync(join(folder.path, 'depot/templates/wait.ipxe.ejs'), '#!ipxe\n<% if (x { %>\n')
    writeFileSync(join(folder.path, 'depot/stations/bad.yaml'), 'mac: 52:54:00:12:34:57\nprofil: local\n')
    writeFileSync(join(folder.path, 'depot/stations/lost.yaml'), 'mac: 52:54:00:12:34:58\nprofile: nowhere\n')
    const server = await folder.serve()
    await until(async () => /^error profile-missing: stations\/lost\.yaml:2: profile: there is no profile nowhere/m.test(server.output()))
    const { stdout } = folder.run('--server', server.base, 'status')
    expect(stdout).toMatch(/problem: templates\/wait\.ipxe\.ejs:2: /)
    expect(stdout).toMatch(/problem: stations\/bad\.yaml:2: profil: there is no key/)
  })

  it('prints one JSON value at the start and one event a line with --json', async () => {
    const server = await folder.serve('--json')
    expect(server.output()).toMatch(/"listening": \[/)
    await fetch(`${server.base}/boot.ipxe`)
    await until(async () => /"kind":"script-offered"/.test(server.output()))
  })
})
