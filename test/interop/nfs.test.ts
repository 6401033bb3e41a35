// The depot by NFS, through nfs-ganesha, to a client that we did not write (libnfs): our server and the client in namespaces of their own.
// The depot lies in memory: where tests run in a container, its own file system may have no file handles.
import { readFileSync } from 'node:fs'
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createLab, type Running } from '../support/netns.ts'
import { describeWith } from '../support/tool.ts'

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
const node = [process.execPath, '--disable-warning=ExperimentalWarning', main]
const poll = { timeout: 60_000, interval: 200 }
const url = (path: string) => `nfs://10.9.0.1${path}?version=4`

describeWith(['root', 'ip', 'ganesha.nfsd', 'nfs-cp', 'nfs-cat', 'nfs-ls', '/dev/shm'], 'the depot by NFS', () => {
  const lab = createLab('nfs-')
  let folder = ''
  let depot = ''
  let serverRoom = ''
  let stationRoom = ''
  let server: Running
  let token = ''

  const start = async (): Promise<void> => {
    server = lab.spawn(serverRoom, [...node, 'serve'], { cwd: folder })
    await server.waitFor(/^Next: /m, 60_000)
    token = /shown only now: (\S+)/.exec(server.output())?.[1] ?? token
  }
  const bivouac = (...words: string[]) => lab.run(serverRoom, [...node, ...words], { cwd: folder, env: { BIVOUAC_TOKEN: token } })
  const client = (...argv: string[]) => lab.run(stationRoom, ['timeout', '20', ...argv], { cwd: folder })
  const send = async (text: string, path: string) => {
    await writeFile(join(folder, 'sent'), text)
    return client('nfs-cp', join(folder, 'sent'), url(path))
  }
  const isListening = async () => (await lab.run(serverRoom, ['ss', '-lnt'])).stdout.includes(':2049 ')

  beforeAll(async () => {
    folder = await mkdtemp('/dev/shm/bivouac-nfs-')
    depot = join(folder, 'depot')
    serverRoom = lab.namespace('server')
    stationRoom = lab.namespace('station')
    lab.veth({ namespace: serverRoom, name: 'eth0', address: '10.9.0.1/24' }, { namespace: stationRoom, name: 'eth0', address: '10.9.0.2/24' })
    lab.address(stationRoom, 'eth0', '10.9.0.9/24')
    await mkdir(join(depot, 'configs'), { recursive: true })
    await chown(join(depot, 'configs'), 1234, 1234)
    await start()
  })
  afterAll(async () => {
    await lab.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('is closed until an operator opens it', async () => {
    expect((await bivouac('nfs', 'status')).stdout).toBe('NFS is closed\n')
    expect(await isListening()).toBe(false)
    expect((await bivouac('nfs', 'open', '--for', '2h')).stderr).toContain('say who may')
    expect((await send('x', `${depot}/configs/x`)).code).not.toBe(0)
  })

  it('shows what it would do, and does nothing', async () => {
    const { stdout } = await bivouac('nfs', 'open', '--for', '2h', '--clients', '10.9.0.2', '--dry-run')
    expect(stdout).toContain(`Path = "${depot}/configs";`)
    expect(await isListening()).toBe(false)
    expect((await bivouac('nfs', 'open', '--for', '2h', '--clients', '10.9.0.2', '--engine', 'kernel', '--dry-run')).stdout).toContain(
      `"${depot}/data" 10.9.0.2(rw,`,
    )
  })

  it('takes what a client writes while it is open, as a file of the depot', async () => {
    const opened = await bivouac('nfs', 'open', '--for', '2h', '--clients', '10.9.0.2')
    expect(opened.stdout + opened.stderr).toContain('NFS is open, read-write, until')
    expect(opened.stdout).toContain(`${depot}/configs`)
    expect(await send('a configuration', `${depot}/configs/kiosk.tar.gz`)).toMatchObject({ code: 0 })
    expect(await readFile(join(depot, 'configs/kiosk.tar.gz'), 'utf8')).toBe('a configuration')
    expect((await lab.run(serverRoom, ['stat', '-c', '%u', join(depot, 'configs/kiosk.tar.gz')])).stdout.trim()).toBe('1234')
    expect((await client('nfs-cat', url(`${depot}/configs/kiosk.tar.gz`))).stdout).toBe('a configuration')
    await writeFile(join(depot, 'data/kept'), 'by hand')
    expect((await client('nfs-cat', url(`${depot}/data/kept`))).stdout).toBe('by hand')
  })

  it('shows the folders that were asked for, nothing else of the depot', async () => {
    const { stdout } = await client('nfs-ls', url(depot))
    expect(stdout.match(/\S+$/gm)?.sort()).toEqual(['configs', 'data', 'scripts'])
    expect((await send('kind: alpine', `${depot}/stations/kiosk.yaml`)).code).not.toBe(0)
  })

  it('refuses who is not on the list', async () => {
    lab.ip(stationRoom, 'route', 'replace', '10.9.0.0/24', 'dev', 'eth0', 'src', '10.9.0.9')
    expect((await send('forged', `${depot}/configs/kiosk.tar.gz`)).code).not.toBe(0)
    expect((await client('nfs-cat', url(`${depot}/configs/kiosk.tar.gz`))).stdout).toBe('')
    lab.ip(stationRoom, 'route', 'replace', '10.9.0.0/24', 'dev', 'eth0', 'src', '10.9.0.2')
    expect(await readFile(join(depot, 'configs/kiosk.tar.gz'), 'utf8')).toBe('a configuration')
  })

  it('stays for reading where that was asked for, and refuses to write then', async () => {
    expect((await bivouac('nfs', 'open', '--for', '2h', '--clients', '10.9.0.2', '--otherwise', 'read-only')).code).toBe(0)
    expect((await send('second', `${depot}/configs/second.tar.gz`)).code).toBe(0)
    expect((await bivouac('nfs', 'close')).stdout).toContain('NFS is open, read-only')
    expect((await client('nfs-cat', url(`${depot}/configs/second.tar.gz`))).stdout).toBe('second')
    expect((await send('third', `${depot}/configs/third.tar.gz`)).code).not.toBe(0)
    expect((await client('nfs-ls', url(`${depot}/configs`))).stdout).not.toContain('third')
    expect((await bivouac('nfs', 'close', '--all')).stdout).toBe('NFS is closed\n')
    expect(await isListening()).toBe(false)
  })

  it('closes by itself when the time is over', async () => {
    expect((await bivouac('nfs', 'open', '--for', '5s', '--clients', '10.9.0.2')).code).toBe(0)
    await expect.poll(isListening, poll).toBe(false)
    expect((await send('late', `${depot}/configs/late.tar.gz`)).code).not.toBe(0)
    expect((await bivouac('events', '--kind', 'nfs-opened', 'nfs-closed')).stdout).toContain('why=expired')
  })

  it('is not left open by a server that is killed; the next one goes on until the time is over', async () => {
    expect((await bivouac('nfs', 'open', '--for', '2h', '--clients', '10.9.0.2')).code).toBe(0)
    server.signal('SIGKILL')
    await server.exited
    await expect.poll(isListening, poll).toBe(false)
    await start()
    expect((await bivouac('nfs', 'status')).stdout).toContain('NFS is open, read-write, until')
    expect((await send('again', `${depot}/configs/again.tar.gz`)).code).toBe(0)
    await server.stop()
    expect(await isListening()).toBe(false)
  })

  it('is kept by the command itself where no server runs', async () => {
    await rm(join(folder, 'state/nfs/phase.json'), { force: true })
    const command = lab.spawn(serverRoom, [...node, 'nfs', 'open', '--for', '2h', '--clients', '10.9.0.2'], { cwd: folder })
    await command.waitFor(/Ctrl-C closes it/, 30_000)
    expect((await send('alone', `${depot}/configs/alone.tar.gz`)).code).toBe(0)
    expect((await bivouac('nfs', 'status')).stdout).toContain('kept open by a command')
    await command.stop()
    await expect.poll(isListening, poll).toBe(false)
    expect((await bivouac('nfs', 'status')).stdout).toBe('NFS is closed\n')
  })

  it('names who has the port', async () => {
    const other = lab.spawn(serverRoom, ['busybox', 'nc', '-l', '-p', '2049'])
    await expect.poll(isListening, poll).toBe(true)
    expect((await bivouac('nfs', 'open', '--for', '2h', '--clients', '10.9.0.2')).stderr).toMatch(/port 2049 is taken by busybox \(process \d+\)/)
    await other.stop()
  })

  it('keeps a log', () => {
    expect(readFileSync(join(folder, 'state/nfs/nfs.log'), 'utf8')).toContain('NFS SERVER INITIALIZED')
  })
})
