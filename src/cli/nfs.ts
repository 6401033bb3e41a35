// `bivouac nfs open|close|status`: the depot by NFS while configurations are made. Asks the running server; without one, `open` keeps
// the export itself, in the foreground, until its time is over or Ctrl-C.
import { join } from 'node:path'
import type { Command } from 'commander'
import { formatDuration, parseDuration } from '../boot/duration.ts'
import { OutsideError } from '../boot/error.ts'
import { type Nfs, type NfsStatus, peekPhase } from '../nfs/phase.ts'
import { openOverlays } from '../overlay/open.ts'
import { openConfiguredNfs } from '../server/nfs.ts'
import type { Context } from './context.ts'
import { say, sayJson, warn } from './output.ts'

type OpenOptions = {
  for: string
  clients?: string[]
  engine?: string
  folders?: string[]
  path?: string
  address?: string
  port?: string
  nfsVersions?: string[]
  mountPort?: string
  otherwise?: string
  dryRun?: boolean
}

const examples = `
Examples:
  bivouac nfs open --for 2h                                  for the networks that are declared, through nfs-ganesha
  bivouac nfs open --for 30m --clients 10.9.0.0/24,10.1.0.7  for these only
  bivouac nfs open --for 2h --otherwise read-only            afterwards the folders stay, for reading
  bivouac nfs open --for 2h --engine kernel --dry-run        what the kernel's server would be given
  bivouac nfs status
  bivouac nfs close
  bivouac nfs close --all                                    also what stays for reading`

const splitList = (text: string): string[] => text.split(',').map((part) => part.trim())

export function addNfsCommand(program: Command, context: () => Context): void {
  const group = program.command('nfs').description('the depot by NFS, while configurations are made').addHelpText('after', examples)
  group
    .command('open')
    .description('export folders of the depot read-write for a while')
    .requiredOption('--for <time>', 'how long: 30m, 2h, 1d')
    .option('--clients <list>', 'addresses and subnets that may (default: the subnets of the networks that are declared)', splitList)
    .option('--engine <name>', "ganesha (a server of our own, in user space) or kernel (an exports file for the distribution's)")
    .option('--folders <list>', 'folders of the depot (default: configs,data,scripts)', splitList)
    .option('--path <path>', "what clients mount (default: the depot's own path)")
    .option('--address <address>', 'where to listen (default: everywhere)')
    .option('--port <port>', 'TCP port (default: 2049)')
    .option('--nfs-versions <list>', '4, or 3,4 (version 3 asks for mounts on --mount-port)', splitList)
    .option('--mount-port <port>', 'for version 3 (default: 20048)')
    .option('--otherwise <what>', 'what comes after it: none (default) or read-only')
    .option('--dry-run', 'print what the NFS server would be given, and change nothing')
    .action((options: OpenOptions) => open(context(), options))
  group
    .command('close')
    .description('end the phase now')
    .option('--all', 'end also what stays for reading')
    .option('--dry-run', 'tell what would be closed')
    .action((options: { all?: boolean; dryRun?: boolean }) => close(context(), options))
  group
    .command('status')
    .description('what is open, for whom and until when')
    .action(async () =>
      sayStatus(
        context(),
        await ask(
          context(),
          (api) => api.get<NfsStatus>('/api/v1/nfs'),
          () => readLocally(context()),
        ),
      ),
    )
}

/** The running server's answer; where none runs and none was named, the other one. */
async function ask<T>(context: Context, remote: (api: ReturnType<Context['api']>) => Promise<T>, local: () => Promise<T>): Promise<T> {
  try {
    return await remote(context.api())
  } catch (error) {
    if (error instanceof OutsideError && error.code === 'no-server' && !context.isServerNamed) return local()
    throw error
  }
}

/** The options as the plan's keys; what is not said stays out. */
function makeWish(options: OpenOptions): Record<string, unknown> {
  const { clients, engine, folders, path, address, port, nfsVersions, mountPort, otherwise } = options
  const versions = nfsVersions?.map(Number)
  const wish = { clients, engine, folders, path, address, port: numberOf(port), versions, mountPort: numberOf(mountPort), otherwise }
  return Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined))
}

const numberOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))

function openLocally(context: Context): Nfs {
  const { config } = context.load()
  return openConfiguredNfs(config, openOverlays(config, Date.now).history, () => {})
}

async function open(context: Context, options: OpenOptions): Promise<void> {
  const durationMs = parseDuration(options.for, '--for')
  const wish = makeWish(options)
  if (options.dryRun) return preview(context, wish)
  const status = await ask(
    context,
    (api) => api.post<NfsStatus>('/api/v1/nfs/open', { for: options.for, ...wish }),
    () => keepOpen(context, wish, durationMs),
  )
  sayStatus(context, status)
}

async function preview(context: Context, wish: Record<string, unknown>): Promise<void> {
  const nfs = openLocally(context)
  const plan = nfs.plan(wish)
  const text = await nfs.preview(plan)
  if (context.json) return sayJson({ plan, file: text })
  say(text.trimEnd())
}

const sweepMs = 1000

/** Without a server this process is the one that keeps it open; it resolves when nothing is open any more. */
async function keepOpen(context: Context, wish: Record<string, unknown>, durationMs: number): Promise<NfsStatus> {
  const nfs = openLocally(context)
  const opened = await nfs.open(nfs.plan(wish), durationMs)
  sayStatus(context, opened)
  if (!context.json) warn('no server runs, so this command keeps it open; Ctrl-C closes it')
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => void nfs.sweep().then(() => (nfs.status().mode === 'closed' ? end() : undefined), end), sweepMs)
    const end = (): void => {
      clearInterval(timer)
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end)
  })
  const { note } = nfs.status()
  const closed = await nfs.close(true)
  return note ? { ...closed, note } : closed
}

async function close(context: Context, { all = false, dryRun }: { all?: boolean; dryRun?: boolean }): Promise<void> {
  if (dryRun) {
    const status = await ask(
      context,
      (api) => api.get<NfsStatus>('/api/v1/nfs'),
      () => readLocally(context),
    )
    return sayStatus(context, status, status.mode === 'closed' ? 'nothing to close' : 'would be closed')
  }
  const status = await ask(
    context,
    (api) => api.post<NfsStatus>('/api/v1/nfs/close', { all }),
    () => openLocally(context).close(all),
  )
  sayStatus(context, status)
}

/** Without a server: what the state folder tells of a phase, and of the command that may be keeping it open. */
async function readLocally(context: Context): Promise<NfsStatus> {
  const phase = await peekPhase(join(context.load().config.state, 'nfs'))
  if (!phase) return { mode: 'closed' }
  if (!phase.isHeld) return { mode: 'closed', note: 'a phase waits for the server to run again (nfs close ends it)' }
  return { mode: phase.access, note: 'kept open by a command in the foreground', ...(phase.access === 'read-write' && { until: phase.until }) }
}

function sayStatus(context: Context, status: NfsStatus, prefix?: string): void {
  if (context.json) return sayJson(status)
  const { mode, plan, mounts = [], until, note } = status
  const end = until === undefined ? '' : `, until ${new Date(until).toISOString()} (${formatDuration(until - Date.now())})`
  say(`${prefix ? `${prefix}: ` : ''}NFS is ${mode === 'closed' ? 'closed' : `open, ${mode}`}${end}${note ? `: ${note}` : ''}`)
  if (!plan) return
  say(
    `  through ${plan.engine}, port ${plan.port}, version ${plan.versions.join(' and ')}; for ${plan.clients.join(', ')}; otherwise ${plan.otherwise}`,
  )
  for (const mount of mounts) say(`  ${mount}`)
}
