// Only the TFTP server, as a program: `node tftp-server.ts '<json>'`. For tests in namespaces; ended transfers go to standard output, one
// JSON line each. Reads its folder as a real server would: small files whole, big ones in pieces from the disk.
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Content } from '../../src/boot/content.ts'
import { InputError, MissingError } from '../../src/boot/error.ts'
import type { TftpLimits } from '../../src/tftp/limit.ts'
import { startTftp } from '../../src/tftp/server.ts'

export type TftpProgram = {
  readonly address: string
  readonly port?: number
  readonly folder: string
  readonly limits?: Partial<TftpLimits>
  readonly isQuiet?: boolean
}

const written = JSON.parse(process.argv[2] ?? '{}') as TftpProgram
const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)
const small = new Map<string, Content>()

async function read(name: string): Promise<Content> {
  if (name.includes('..')) throw new InputError('path', 'leads outside')
  const path = join(written.folder, name)
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new MissingError('file', name)
  const shared = { sizeBytes: found.size, etag: `${found.size}-${found.mtimeMs}`, type: 'application/octet-stream' }
  if (found.size < 1_000_000) {
    const whole = await readFile(path)
    return { ...shared, whole, read: (offset, length) => whole.subarray(offset, offset + length), close: () => {} }
  }
  const file = await open(path)
  const readPiece = async (offset: number, length: number) => (await file.read(Buffer.allocUnsafe(length), 0, length, offset)).buffer
  return { ...shared, read: readPiece, close: () => void file.close() }
}

const readKept = (name: string): Content | Promise<Content> => {
  const kept = small.get(name)
  if (kept) return kept
  return read(name).then((content) => {
    if (content.whole) small.set(name, content)
    return content
  })
}

const server = await startTftp({
  address: written.address,
  port: written.port ?? 69,
  read: readKept,
  ...(written.limits && { limits: written.limits }),
  ...(!written.isQuiet && { onEnd: say, onMalformed: (peer, why) => say({ malformed: why, peer }) }),
})
process.on('SIGTERM', async () => {
  await server.stop()
  process.exit(0)
})
process.on('SIGUSR2', () => say({ cpu: process.cpuUsage(), rss: process.memoryUsage.rss(), sessions: server.sessions() }))
say({ listening: server.port, receiveBufferBytes: server.receiveBufferBytes })
