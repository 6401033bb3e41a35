// Our TFTP server and clients that we did not write, over a cable between two namespaces; and over one that loses datagrams.
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TransferFigures } from '../../src/tftp/figure.ts'
import { loseOn } from '../support/loss.ts'
import { createLab, type Outcome, type Running } from '../support/netns.ts'
import type { GetProgram, GetResult } from '../support/tftp-get.ts'
import { patternBytes } from '../support/tftp-link.ts'
import type { TftpProgram } from '../support/tftp-server.ts'
import { describeWith } from '../support/tool.ts'

const support = join(import.meta.dirname, '../support')
const address = '10.9.0.1'
const files: Record<string, Buffer> = {
  empty: Buffer.alloc(0),
  'one-byte': Buffer.from('x'),
  'whole-blocks': patternBytes(1468 * 512),
  'undionly.kpxe': patternBytes(70_001),
  'text.ipxe': Buffer.from('#!ipxe\nset a b\r\nchain \r c\n'.repeat(40)),
  'lossy-small': patternBytes(300_000),
  'lossy-foreign': patternBytes(200_000),
  'lossy-big': patternBytes(1_000_000),
  // 512 × 65536 and some more: the block number rolls over in every size of block up to 512.
  initramfs: patternBytes(34_000_000),
}
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Command lines to fetch NAME to LOCAL; a comma stands for the space inside a word. */
const commands = [
  'tftp -m binary HOST -c get NAME LOCAL',
  'atftp -g -r NAME -l LOCAL HOST',
  'atftp -g --option blksize,1468 --option windowsize,8 --option tsize,0 -r NAME -l LOCAL HOST',
  'curl -sS tftp://HOST/NAME -o LOCAL',
  'curl -sS --tftp-blksize 8192 tftp://HOST/NAME -o LOCAL',
  'curl -sS --tftp-no-options tftp://HOST/NAME -o LOCAL',
  'busybox tftp -g -r NAME -l LOCAL HOST',
  'busybox tftp -b 1432 -g -r NAME -l LOCAL HOST',
]
const isPlain = (command: string) => !/option|blksize|-b/.test(command.replace('busybox', ''))
// curl takes "tsize 0" in an OACK for an error, whoever the server is.
const failsOnEmpty = (command: string) => command.startsWith('curl') && !command.includes('no-options')

const npmClient = `
  const [host, name, local, windowSize, blockSize] = process.argv.slice(1)
  const client = require('tftp').createClient({ host, port: 69, windowSize: +windowSize, blockSize: +blockSize, retries: 5, timeout: 3000 })
  client.get(name, local, (error) => { if (error) { console.error(error.message); process.exit(1) } })`

describeWith(['root', 'ip', 'tc', 'tftp', 'atftp', 'curl', 'busybox'], 'TFTP and its clients', () => {
  const lab = createLab('tftp-')
  const [left, right] = [lab.namespace('server'), lab.namespace('client')]
  const folder = mkdtempSync(join(tmpdir(), 'bvc-tftp-'))
  const local = join(folder, 'fetched')
  let server: Running

  beforeAll(async () => {
    lab.veth({ namespace: left, name: 'eth0', address: `${address}/24` }, { namespace: right, name: 'eth0', address: '10.9.0.2/24' })
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)
    const program: TftpProgram = { address, folder }
    server = lab.spawn(left, [process.execPath, join(support, 'tftp-server.ts'), JSON.stringify(program)])
    await server.waitFor(/listening/)
  })
  afterAll(async () => {
    await lab.close()
    rmSync(folder, { recursive: true })
  })

  /** Runs one client to its end and answers what the server said of the transfer. */
  async function fetchBy(command: string[]): Promise<{ client: Outcome; figures: TransferFigures }> {
    rmSync(local, { force: true })
    const before = server.output().length
    const client = await lab.run(right, command, { cwd: join(support, '../..'), timeoutMs: 20_000 })
    const line = await server.waitFor(new RegExp(`^[^]{${before}}.*?({"peer.*})\n`))
    return { client, figures: JSON.parse(line[1] as string) }
  }
  const fetched = () => sha256(readFileSync(local))

  const write = (command: string, name: string) =>
    command.split(' ').map((word) => word.replace('HOST', address).replace('NAME', name).replace('LOCAL', local).replace(',', ' '))

  describe.each(commands)('%s', (command) => {
    const names = ['empty', 'one-byte', 'whole-blocks', 'undionly.kpxe'].filter((name) => name !== 'empty' || !failsOnEmpty(command))
    it.each(names)('fetches %s', async (name) => {
      const { client, figures } = await fetchBy(write(command, name))
      expect(client.code).toBe(0)
      expect(fetched()).toBe(sha256(files[name] as Buffer))
      expect(figures).toMatchObject({ outcome: 'complete', name, sentBytes: files[name]?.length })
    })

    it('is told of a missing file', async () => {
      const { client, figures } = await fetchBy(write(command, 'nope'))
      expect(`${client.stdout}${client.stderr}`).toMatch(/file not found|\(68\)/i)
      expect(figures).toMatchObject({ outcome: 'refused', name: 'nope' })
    })
  })

  it.each(commands.filter(isPlain))('%s fetches 34 MB, past block 65535', async (command) => {
    const { figures } = await fetchBy(write(command, 'initramfs'))
    expect(fetched()).toBe(sha256(files.initramfs as Buffer))
    expect(figures).toMatchObject({ outcome: 'complete', sentBytes: 34_000_000, blksize: 512 })
  })

  it.each([
    [1, 1468, ['empty', 'one-byte', 'undionly.kpxe']],
    [4, 512, ['one-byte', 'undionly.kpxe', 'initramfs']],
    [16, 1468, ['one-byte', 'undionly.kpxe', 'whole-blocks']],
  ])('npm tftp as a client, windowsize %d, blksize %d', async (windowsize, blksize, names) => {
    for (const name of names) {
      const numbers = [String(windowsize), String(blksize)]
      const { client, figures } = await fetchBy([process.execPath, '--no-deprecation', '-e', npmClient, address, name, local, ...numbers])
      expect(client).toMatchObject({ code: 0, stderr: '' })
      expect(fetched()).toBe(sha256(files[name] as Buffer))
      expect(figures).toMatchObject({ outcome: 'complete', blksize, windowsize })
    }
  })

  it.each([
    ['tftp', ['tftp', address, '-c', 'get', 'text.ipxe', local]],
    ['curl', ['curl', '-sS', '-B', `tftp://${address}/text.ipxe`, '-o', local]],
  ])('%s in netascii gets the text with its line ends', async (tool, command) => {
    await fetchBy(command as string[])
    const text = readFileSync(local, 'latin1')
    const original = (files['text.ipxe'] as Buffer).toString('latin1')
    if (tool === 'tftp') expect(text).toBe(original)
    else expect(text.replaceAll('\r\n', '\n').replaceAll('\r\0', '\r')).toBe(original)
  })

  it.each([
    ['tftp', ['tftp', '-m', 'binary', address, '-c', 'put', '/etc/hostname', 'one-byte']],
    ['atftp', ['atftp', '-p', '-l', '/etc/hostname', '-r', 'one-byte', address]],
    ['curl', ['curl', '-sS', '-T', '/etc/hostname', `tftp://${address}/one-byte`]],
  ])('%s may not write', async (_, command) => {
    const { client } = await fetchBy(command as string[])
    expect(`${client.stdout}${client.stderr}`).toMatch(/read-only|\(69\)/i)
    expect(readFileSync(join(folder, 'one-byte'), 'latin1')).toBe('x')
  })

  describe('on a cable that loses datagrams', () => {
    afterAll(() => loseOn(lab, left, 'eth0', 0).then(() => loseOn(lab, right, 'eth0', 0)))

    const get = async (program: Partial<GetProgram>): Promise<GetResult[]> => {
      const done = await lab.run(right, [process.execPath, join(support, 'tftp-get.ts'), JSON.stringify({ address, ...program })])
      expect(done.stderr).toBe('')
      return JSON.parse(done.stdout)
    }
    const rows = [1, 5].flatMap((percent) => [1, 8, 64].map((windowsize) => [percent, windowsize] as const))

    it.each(rows)('%d percent, windowsize %d: whole, in seconds, with few duplicates', async (percent, windowsize) => {
      for (const [namespace, side] of [
        [left, percent],
        [right, percent],
      ] as const)
        await loseOn(lab, namespace, 'eth0', side)
      const name = windowsize === 1 ? 'lossy-small' : 'lossy-big'
      const bytes = files[name] as Buffer
      const options = [
        ['blksize', '1468'],
        ['windowsize', `${windowsize}`],
      ] as const
      const results = await get({ name, options, isEager: windowsize === 8, times: 4 })
      for (const { outcome, sha256: sum, duplicates } of results) {
        expect([outcome, sum]).toEqual(['complete', sha256(bytes)])
        expect(duplicates).toBeLessThan(40 + ((bytes.length / 1468) * percent * (4 + windowsize)) / 50)
      }
      expect(Math.max(...results.map(({ ms }) => ms))).toBeLessThan(15_000)
    })

    // Only what we send is lost: when these clients' requests are, each of them waits by rules of its own, curl for a minute.
    // What is lost is chance, and some of them give up when it is unkind: once more, then it is our fault.
    it.each(commands.filter((command) => !failsOnEmpty(command)))('%s gets through 3 percent', { retry: 2 }, async (command) => {
      await loseOn(lab, left, 'eth0', 3)
      await loseOn(lab, right, 'eth0', 0)
      const { figures } = await fetchBy(write(command, 'lossy-foreign'))
      expect(fetched()).toBe(sha256(files['lossy-foreign'] as Buffer))
      expect(figures.outcome).toBe('complete')
    })
  })
})
