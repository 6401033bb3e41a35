// Who holds a TCP port, so that a conflict can be told with a name. Reads /proc only.
import { readdir, readFile, readlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { ConflictError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'

/** Throws ConflictError `nfs-port` that names the holder when the port cannot be had. The port is free again when this resolves. */
export async function checkPort(address: string, port: number): Promise<void> {
  const problem = await tryPort(address, port)
  if (problem === undefined) return
  if (problem !== 'EADDRINUSE') throw new ConflictError('nfs-port', `port ${port} on ${address} cannot be had: ${problem}`)
  const holder = await findHolder(port)
  const who = holder ?? 'the kernel (its own NFS server: "exportfs -v" and "systemctl stop nfs-server"), or a process of another container'
  throw new ConflictError('nfs-port', `port ${port} is taken by ${who}; stop it, or give --port`)
}

function tryPort(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(codeOf(error)))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** `ganesha.nfsd (process 123)`, or undefined where no process that we may see holds it. */
export async function findHolder(port: number): Promise<string | undefined> {
  const inodes = new Set((await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((path) => listListeners(path, port)))).flat())
  if (!inodes.size) return undefined
  for (const pid of (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const [, inode = ''] = /^socket:\[([0-9]+)\]$/.exec(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) ?? []
      if (inodes.has(inode)) return `${(await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?')).trim()} (process ${pid})`
    }
  }
  return undefined
}

/** Inodes of the sockets that listen on the port. Columns of /proc/net/tcp: proc(5); state 0A is LISTEN. */
async function listListeners(path: string, port: number): Promise<string[]> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = (await readFile(path, 'latin1').catch(() => '')).split('\n').slice(1)
  return lines.flatMap((line) => {
    const fields = line.trim().split(/\s+/)
    return fields[3] === '0A' && fields[1]?.endsWith(`:${wanted}`) && fields[9] ? [fields[9]] : []
  })
}
