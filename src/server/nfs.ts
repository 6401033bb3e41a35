// NFS on the configured folders, for the server and for the command that works without one: what may be overwritten is kept before writing begins.
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { findMac } from '../boot/address.ts'
import type { Emit } from '../boot/event.ts'
import type { Config } from '../config.ts'
import { openNfs } from '../nfs/open.ts'
import type { Nfs } from '../nfs/phase.ts'
import type { History } from '../overlay/history.ts'
import type { Closers } from './door.ts'

const ending = /(\.apkovl)?\.tar\.gz$/
/** Copies of archives that belong to no one station. */
const keptMax = 50
const maxArchives = 10_000

/** Closed until told otherwise. `history` gets each station's archive as it was before the phase. */
export function openConfiguredNfs({ depot, state, networks }: Config, history: Pick<History, 'append'>, emit: Emit): Nfs {
  return openNfs({ depot, state, networks, now: Date.now, emit, beforeOpen: () => keepArchives(depot, state, history) })
}

/** Versions of what lies in `configs/`; a copy in `<state>/nfs/kept` of what is no one station's. Throws what the disk throws: then nothing is opened. */
export async function keepArchives(depot: string, state: string, history: Pick<History, 'append'>): Promise<void> {
  const names = await listArchives(join(depot, 'configs'))
  for (const name of names.slice(0, maxArchives)) {
    const file = join(depot, 'configs', name)
    const mac = name.includes('/') ? undefined : findMac(name.replace(ending, ''))
    if (mac) await history.append({ mac, kind: 'found', who: 'nfs open', source: { file } })
    else await keepCopy(file, name, join(state, 'nfs/kept'))
  }
}

async function listArchives(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((one) => one.isFile() && ending.test(one.name) && !one.name.startsWith('.'))
    .map((one) => join(one.parentPath, one.name).slice(folder.length + 1))
    .sort()
}

async function keepCopy(file: string, name: string, folder: string): Promise<void> {
  const digest = createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const kept = (await readdir(folder)).sort()
  const mine = `${digest.slice(0, 12)}-${name.replaceAll('/', '-')}`
  if (kept.includes(mine)) return
  await copyFile(file, join(folder, mine))
  const aged = await Promise.all(kept.map(async (one) => ({ one, at: (await stat(join(folder, one))).mtimeMs })))
  for (const { one } of aged.sort((a, b) => b.at - a.at).slice(keptMax - 1)) await unlink(join(folder, one))
}

/** The export by NFS: what a dead server left is closed, a phase that is still running goes on. A failure is told and stops nothing else. */
export async function resumeNfs(nfs: Nfs, closers: Closers, warnings: string[]): Promise<Nfs> {
  const timer = setInterval(() => void nfs.sweep().catch(() => undefined), nfsSweepMs).unref()
  closers.push(() => {
    clearInterval(timer)
    return nfs.stop()
  })
  await nfs.resume().catch((error: Error) => warnings.push(`NFS is closed: ${error.message}`))
  return nfs
}

const nfsSweepMs = 2000
