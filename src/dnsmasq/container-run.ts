// Carries out the steps of container.ts: checks first, then one after the other; a failing step undoes the done ones in reverse. Used by `dnsmasq container --apply`.
import { execFile } from 'node:child_process'
import { ConflictError, InputError, MissingError, OutsideError } from '../boot/error.ts'
import type { ContainerAsk, ContainerStep } from './container.ts'

/** How one command ended; `code` is undefined when the program is not there or was killed. */
export type Ended = { readonly code?: number; readonly stdout: string; readonly reason: string }
export type RunProgram = (argv: readonly string[]) => Promise<Ended>

/** Runs it without a shell, with the PATH of this process. 15 minutes at most, for `docker run` may fetch the image. */
export const runProgram: RunProgram = ([program = '', ...args]) =>
  new Promise((done) => {
    execFile(program, args, { timeout: 900_000 }, (error, stdout, stderr) => {
      const code = error ? error.code : 0
      const reason = stderr.trim() || error?.message || ''
      done({ stdout, reason: reason.slice(0, 300), ...(typeof code === 'number' && { code }) })
    })
  })

/** Changes nothing. Throws MissingError (tool, bridge), OutsideError (engine), InputError `not-in-group`, ConflictError `name-taken`. */
export async function checkContainer(ask: ContainerAsk, steps: readonly ContainerStep[], run: RunProgram): Promise<void> {
  await checkTools(ask.engine, run)
  await checkGroup(ask.engine, run)
  const info = await run([ask.engine, 'info'])
  if (info.code !== 0) throw new OutsideError('container-engine', `${ask.engine} does not answer: ${info.reason}`, true)
  if ((await run(['ovs-vsctl', 'br-exists', ask.bridge])).code !== 0)
    throw new MissingError('bridge-missing', `Open vSwitch has no bridge ${ask.bridge}, or does not answer: see \`ovs-vsctl show\``)
  for (const { title, probes } of steps)
    if (await isThere(probes, run))
      throw new ConflictError('name-taken', `${title}: there already; nothing is changed. Take another name, or remove it`)
}

async function checkTools(engine: string, run: RunProgram): Promise<void> {
  for (const argv of [
    ['ovs-vsctl', '--version'],
    ['ip', '-V'],
    [engine, '--version'],
  ])
    if ((await run(argv)).code === undefined) throw new MissingError('tool-missing', `${argv[0]} is not there: install it, or mend PATH`)
}

async function checkGroup(engine: ContainerAsk['engine'], run: RunProgram): Promise<void> {
  if ((await run(['id', '-u'])).stdout.trim() === '0') return
  if (engine === 'podman') throw new InputError('not-root', 'podman makes a macvlan network only as root')
  const groups = (await run(['id', '-nG'])).stdout.trim().split(/\s+/)
  if (!groups.includes('docker'))
    throw new InputError('not-in-group', 'you are not in the group docker: `sudo usermod -aG docker $USER`, then log in again or `newgrp docker`')
}

async function isThere(probes: ContainerStep['probes'], run: RunProgram): Promise<boolean> {
  for (const probe of probes) if ((await run(probe)).code === 0) return true
  return false
}

/** `undone` in the order of undoing; `left` could not be undone, with its reason. */
export type ContainerReport = {
  readonly result: 'done' | 'rolled-back' | 'rollback-incomplete'
  readonly done: readonly string[]
  readonly failed?: { readonly title: string; readonly reason: string }
  readonly undone: readonly string[]
  readonly left: readonly { readonly title: string; readonly reason: string; readonly undo: readonly string[] }[]
}

/** Never throws for a step that fails. A failed step that left something (its probe says so) is undone as well. */
export async function applyContainer(steps: readonly ContainerStep[], run: RunProgram): Promise<ContainerReport> {
  const done: ContainerStep[] = []
  for (const step of steps) {
    const { code, reason } = await run(step.argv)
    if (code === 0) done.push(step)
    else {
      const behind = (await isThere(step.probes, run)) ? [...done, step] : done
      return { done: done.map(({ title }) => title), failed: { title: step.title, reason }, ...(await rollBack(behind, run)) }
    }
  }
  return { result: 'done', done: done.map(({ title }) => title), undone: [], left: [] }
}

async function rollBack(steps: readonly ContainerStep[], run: RunProgram): Promise<Pick<ContainerReport, 'result' | 'undone' | 'left'>> {
  const undone: string[] = []
  const left: ContainerReport['left'][number][] = []
  for (const { title, undo } of steps.toReversed()) {
    const { code, reason } = await run(undo)
    if (code === 0) undone.push(title)
    else left.push({ title, reason, undo })
  }
  return { result: left.length ? 'rollback-incomplete' : 'rolled-back', undone, left }
}
