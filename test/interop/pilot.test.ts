// PXE Pilot's own story against the whole server, with curl, raw sockets and its command: installer, call from its last step, local; every loader told the same.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makePilotFixture, type PilotFixture } from '../pilot/fixture.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'
import { describeWith } from '../support/tool.ts'

const mac = '00:00:00:00:00:01'
const pilotCommand = resolve(import.meta.dirname, '../../src/runtime/pxe-pilot.mjs')

describeWith(['curl', 'busybox'], 'a site of PXE Pilot', () => {
  let fixture: PilotFixture
  let folder: CliFolder
  let served: Awaited<ReturnType<CliFolder['serve']>>
  let port: number
  let api: string
  let tftpPort: number
  const start = async () => {
    served = await folder.serve()
    const listening = JSON.parse(curl(`${served.base}/api/v1/status`)) as { listening: { service: string; port: number }[] }
    tftpPort = listening.listening.find(({ service }) => service === 'tftp')?.port ?? 0
  }
  const curl = (...args: string[]): string => execFileSync('curl', ['-sS', '-m', '20', ...args], { encoding: 'utf8' })
  const script = (): string => curl(`${served.base}/boot/${mac}.ipxe`)
  const link = (): string => readlinkSync(join(folder.path, 'depot/pxelinux.cfg/01-00-00-00-00-00-01'))
  const tftp = (name: string): string => {
    const path = join(folder.path, 'got')
    execFileSync('busybox', ['tftp', '-g', '-r', name, '-l', path, '127.0.0.1', String(tftpPort)])
    return readFileSync(path, 'utf8')
  }
  const told = () => ({ script: script(), link: link().split('/').at(-1), grub: curl(`${served.base}/grub/grub.cfg-01-00-00-00-00-00-01`) })

  beforeAll(async () => {
    port = 20_000 + (process.pid % 20_000)
    fixture = makePilotFixture({ port })
    const conf = join(fixture.root, 'pxelinux.cfg/conf/pxelinux')
    writeFileSync(join(conf, 'local'), 'DEFAULT local\nLABEL local\n  LOCALBOOT 0\n')
    writeFileSync(join(conf, 'installer'), 'DEFAULT i\nLABEL i\n  KERNEL debian/linux\n  INITRD debian/initrd.gz\n  APPEND auto=true\n')
    mkdirSync(join(fixture.root, 'debian'))
    for (const name of ['linux', 'initrd.gz']) writeFileSync(join(fixture.root, 'debian', name), name)
    folder = createCliFolder()
    writeFileSync(join(folder.path, 'bivouac.yaml'), 'pilot: { address: 127.0.0.1 }\n')
    const imported = folder.run('import', 'pxe-pilot', fixture.file, '--copy')
    if (imported.code !== 0) throw new Error(imported.stdout + imported.stderr)
    api = `http://127.0.0.1:${port}`
    await start()
  })
  afterAll(async () => {
    await folder?.remove()
    fixture?.remove()
  })

  it('installs once: the last step calls, and the next boot is local, for every loader', async () => {
    expect(curl('-X', 'PUT', '-d', `{"hosts":[{"macAddress":"${mac}"}]}`, `${api}/configurations/installer/deploy`)).toMatch(/"rebooted":"NO"/)
    const first = told()
    expect(first.script).toMatch(/debian\/linux/)
    expect(first.link).toBe('installer')
    expect(first.grub).toMatch(/debian\/linux/)
    expect(tftp('pxelinux.cfg/01-00-00-00-00-00-01')).toMatch(/KERNEL debian\/linux/)
    // The document's own line, a form's Content-Type and all.
    expect(curl('-X', 'PUT', '-d', `{"hosts": [{"macAddress": "${mac}"}]}`, `${api}/configurations/local/deploy`)).toMatch(/hosts/)
    const next = told()
    expect(next.link).toBe('local')
    expect(`${next.script}${next.grub}`).not.toMatch(/debian/)
    // A file that was looked at within a tenth of a second is not looked at again.
    await expect.poll(() => tftp('pxelinux.cfg/01-00-00-00-00-00-01'), { timeout: 10_000 }).toMatch(/LOCALBOOT/)
    expect(readFileSync(join(folder.path, 'depot/stations/h1.yaml'), 'utf8')).toMatch(/profile: local/)
  })

  it('takes a body with GET and PATCH, and closes after each, as the original client does', async () => {
    const ask = (method: string, path: string) =>
      new Promise<string>((done, fail) => {
        const socket = connect(port, '127.0.0.1', () =>
          socket.write(
            `${method} ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull`,
          ),
        )
        let text = ''
        socket.on('data', (chunk: Buffer) => {
          text += chunk
        })
        socket.on('end', () => done(text))
        socket.on('error', fail)
        socket.setTimeout(20_000, () => fail(new Error(`no end: ${text}`)))
      })
    expect(await ask('GET', '/v1/configurations')).toMatch(/^HTTP\/1\.1 200 [\s\S]*application\/json; charset=utf-8[\s\S]*"name":"local"/i)
    expect(await ask('GET', '/v1/hosts?status=false')).toMatch(/^HTTP\/1\.1 200 [\s\S]*"name":"h4"/)
    expect(await ask('PATCH', '/v1/hosts/nobody/on')).toMatch(/^HTTP\/1\.1 404 /)
    expect(await ask('PATCH', '/v1/hosts/h3/on')).toMatch(/^HTTP\/1\.1 409 /)
  })

  it('keeps what was deployed when it is killed, and starts again with it', async () => {
    curl('-X', 'PUT', '-d', '{"hosts":[{"name":"h1"},{"name":"h3"}]}', `${api}/v1/configurations/installer/deploy`)
    await served.stop('SIGKILL')
    await start()
    expect(link()).toMatch(/installer$/)
    expect(curl(`${api}/hosts?status=0`)).toMatch(/"name":"h3"[^{]*"configuration":\{"name":"installer"/)
    expect(script()).toMatch(/debian/)
  })

  it('has its command under its own name', () => {
    const run = (...args: string[]) => spawnSync(process.execPath, [pilotCommand, '-s', api, ...args], { encoding: 'utf8', cwd: folder.path })
    expect(run('config', 'list').stdout).toMatch(/^\+-+\+-+\+\n\| +NAME +\| BOOTLOADER \|/)
    expect(run('config', 'deploy', 'local', 'h1')).toMatchObject({ status: 0, stdout: expect.stringMatching(/\| h1 +\| local +\| NO/) })
    expect(run('config', 'deploy', 'gone', 'h1').status).toBe(1)
    expect(run('config', 'deploy').status).toBe(2)
    expect(script()).not.toMatch(/debian/)
  })

  it('boot --now: the order stands, and who cannot be switched is told', () => {
    const ended = folder.run('boot', 'h3', '--profile', 'local', '--now', '--http.port', new URL(served.base).port)
    expect([ended.code, ended.stderr, ended.stdout]).toEqual([5, '', expect.stringMatching(/h3: not restarted: .*no key power.*the order stands/)])
    expect(folder.run('--server', served.base, 'boot', '--list').stdout).toMatch(/h3 +local/)
  })

  it('what unknown stations tell is listed, and taken along when one is adopted', () => {
    const stranger = '52:54:00:aa:bb:cc'
    curl(`${served.base}/boot/${stranger}.ipxe?manufacturer=ACME&product=Box%201&serial=S1&uuid=b8945908-d6a6-41a9-8ff4-0123456789ab`)
    expect(folder.run('--server', served.base, 'station', 'list').stdout).toMatch(/52:54:00:aa:bb:cc .*ACME, Box 1, serial S1/)
    const adopted = folder.run('station', 'adopt', stranger, 'box', '--profile', 'local', '--http.port', new URL(served.base).port)
    expect(adopted.stdout + adopted.stderr).toMatch(/made station box/)
    expect(readFileSync(join(folder.path, 'depot/stations/box.yaml'), 'utf8')).toMatch(
      /uuid: b8945908-d6a6-41a9-8ff4-0123456789ab\nlabels:\n {2}manufacturer: ACME\n {2}product: Box 1\n {2}serial: S1\n/,
    )
  })

  it('another site is read in while the server runs: through it, and at once in force', () => {
    mkdirSync(join(folder.path, 'lab/tftp/pxelinux.cfg'), { recursive: true })
    writeFileSync(join(folder.path, 'lab/tftp/pxelinux.cfg/01-52-54-00-00-00-0a'), 'DEFAULT x\nLABEL x\n KERNEL lab/linux\n')
    writeFileSync(join(folder.path, 'lab/dnsmasq.conf'), 'tftp-root=tftp\n')
    writeFileSync(join(folder.path, 'lab/tftp/linux'), 'k')
    const read = (...more: string[]) => folder.run('import', 'dnsmasq', 'lab/dnsmasq.conf', '--http.port', new URL(served.base).port, ...more)
    expect(read('--dry-run').stdout).toMatch(/station pxe-52540000000a: would be made/)
    expect(read()).toMatchObject({ code: 0 })
    expect(curl(`${served.base}/api/v1/stations/52:54:00:00:00:0a`)).toMatch(/"name":"pxe-52540000000a"/)
    expect(read().stdout).toMatch(/nothing to do/)
  })
})
