import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { OutsideError } from '../../src/boot/error.ts'
import type { NfsEngine } from '../../src/nfs/engine.ts'
import { createNfs, type NfsOptions, peekPhase } from '../../src/nfs/phase.ts'
import { parseNfsPlan } from '../../src/nfs/plan.ts'
import { makeScratch } from '../support/scratch.ts'

const hour = 3_600_000
const plan = parseNfsPlan({ clients: ['10.9.0.0/24'] })

/** An engine that only says what it was asked for; `end` lets the export die by itself, `fault` refuses the next start. */
function createFakeEngine() {
  const said: string[] = []
  let endExport = (_: string): void => {}
  const state = { fault: undefined as Error | undefined, stale: undefined as string | undefined }
  const engine: NfsEngine = {
    check: async () => {
      said.push('check')
    },
    render: async (_, access) => `file ${access}`,
    start: async (_, access, folders) => {
      if (state.fault) throw state.fault
      said.push(`start ${access} ${folders.map(({ pseudo }) => pseudo.split('/').at(-1)).join(' ')}`)
      const ended = new Promise<string>((resolve) => {
        endExport = resolve
      })
      return { ended, stop: async () => void said.push('stop') }
    },
    closeStale: async () => {
      said.push('stale')
      return state.stale
    },
  }
  return { engine, said, state, end: (why: string) => endExport(why) }
}

async function makeRig(over: Partial<NfsOptions> = {}) {
  const scratch = await makeScratch()
  const depot = join(scratch, 'depot')
  for (const name of ['configs', 'data', 'scripts']) await mkdir(join(depot, name), { recursive: true })
  const clock = { now: 1_000_000, uptime: 0 }
  const pass = (ms: number): void => {
    clock.now += ms
    clock.uptime += ms
  }
  const events: BootEvent[] = []
  const fake = createFakeEngine()
  const folder = join(scratch, 'state/nfs')
  const make = () =>
    createNfs({
      depot,
      folder,
      engines: { ganesha: fake.engine, kernel: fake.engine },
      now: () => clock.now,
      uptimeMs: () => clock.uptime,
      emit: (event) => events.push(event),
      ...over,
    })
  return { ...fake, scratch, depot, folder, clock, pass, events, make, nfs: make() }
}

const createNfsWithoutNetworks = () => {
  const { engine } = createFakeEngine()
  return createNfs({ depot: '/', folder: '/', engines: { ganesha: engine, kernel: engine }, now: () => 0, uptimeMs: () => 0, emit: () => {} })
}

describe('a configuration phase', () => {
  it('is closed, opens for its time, and closes by itself', async () => {
    const { nfs, said, pass, events } = await makeRig()
    expect(nfs.status()).toEqual({ mode: 'closed' })
    const opened = await nfs.open(plan, 2 * hour)
    expect(opened).toMatchObject({ mode: 'read-write', until: 1_000_000 + 2 * hour })
    expect(opened.mounts).toHaveLength(3)
    pass(2 * hour - 1)
    await nfs.sweep()
    expect(nfs.status().mode).toBe('read-write')
    pass(1)
    await nfs.sweep()
    expect(nfs.status()).toEqual({ mode: 'closed' })
    expect(said).toEqual(['check', 'check', 'start read-write configs data scripts', 'stop'])
    expect(events.map(({ kind, detail }) => `${kind} ${detail?.why ?? ''}`)).toEqual(['nfs-opened ', 'nfs-closed expired'])
  })

  it('stays readable where that was asked for, until all of it is closed', async () => {
    const { nfs, said } = await makeRig()
    await nfs.open(parseNfsPlan({ ...plan, otherwise: 'read-only', folders: ['configs'] }), hour)
    expect((await nfs.close()).mode).toBe('read-only')
    expect(nfs.status().until).toBeUndefined()
    expect((await nfs.close()).mode).toBe('read-only')
    expect((await nfs.close(true)).mode).toBe('closed')
    expect(said.filter((one) => one !== 'check')).toEqual(['start read-write configs', 'stop', 'start read-only configs', 'stop'])
  })

  it('ends in time though the clock is set back', async () => {
    const { nfs, clock } = await makeRig()
    await nfs.open(plan, hour)
    clock.now -= 100 * hour
    clock.uptime += hour
    await nfs.sweep()
    expect(nfs.status().mode).toBe('closed')
  })

  it('goes on after a restart within its time, and not after it', async () => {
    const rig = await makeRig()
    await rig.nfs.open(plan, 2 * hour)
    await rig.nfs.stop()
    rig.pass(hour)
    const second = rig.make()
    expect(await second.resume()).toMatchObject({ mode: 'read-write', until: 1_000_000 + 2 * hour })
    await second.stop()
    rig.pass(hour)
    const third = rig.make()
    expect(await third.resume()).toMatchObject({ mode: 'closed', note: 'the phase ended while no server ran' })
    expect(await rig.make().resume()).toEqual({ mode: 'closed' })
    // Three starts, two engines.
    expect(rig.said.filter((one) => one === 'stale')).toHaveLength(6)
  })

  it('takes a mark that cannot be read for closed', async () => {
    const { nfs, folder } = await makeRig()
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'phase.json'), '{"format":1')
    expect(await nfs.resume()).toEqual({ mode: 'closed' })
  })

  it('is for the networks that are declared, unless somebody is named', async () => {
    const { nfs } = await makeRig({ clients: ['10.9.0.0/24'] })
    expect(nfs.plan({}).clients).toEqual(['10.9.0.0/24'])
    expect(nfs.plan({ clients: ['10.1.0.9'] }).clients).toEqual(['10.1.0.9'])
    expect(() => createNfsWithoutNetworks().plan({})).toThrow('say who may')
  })

  it('is seen by who does not hold it', async () => {
    const { nfs, folder, make } = await makeRig()
    expect(await peekPhase(folder)).toBeUndefined()
    await nfs.open(plan, hour)
    expect(await peekPhase(folder)).toEqual({ access: 'read-write', until: 1_000_000 + hour, isHeld: true })
    await nfs.stop()
    expect(await peekPhase(folder)).toMatchObject({ isHeld: false })
    expect(await make().close()).toEqual({ mode: 'closed' })
    expect(await peekPhase(folder)).toBeUndefined()
  })

  it('is closed when the server outside ends by itself, and says why', async () => {
    const { nfs, end, events } = await makeRig()
    await nfs.open(plan, hour)
    end('it fell over')
    await expect.poll(() => nfs.status()).toEqual({ mode: 'closed', note: 'it fell over' })
    await expect.poll(() => events.at(-1)).toMatchObject({ kind: 'nfs-closed', detail: { why: 'failed', reason: 'it fell over' } })
  })

  it('is closed when it cannot start, and no restart tries again', async () => {
    const { nfs, state, folder, make } = await makeRig()
    state.fault = new OutsideError('nfs-start', 'no', false)
    await expect(nfs.open(plan, hour)).rejects.toThrow('no')
    expect(nfs.status()).toEqual({ mode: 'closed', note: 'no' })
    await expect(readFile(join(folder, 'phase.json'))).rejects.toThrow('ENOENT')
    expect((await make().resume()).mode).toBe('closed')
  })

  it('does not open unless what may be overwritten was kept', async () => {
    const { nfs, said } = await makeRig({ beforeOpen: () => Promise.reject(new Error('disk full')) })
    await expect(nfs.open(plan, hour)).rejects.toThrow('disk full')
    expect(said).toEqual(['check'])
  })

  it('belongs to one process: another is refused and changes nothing', async () => {
    const { nfs, make, folder } = await makeRig()
    await nfs.open(plan, hour)
    const mark = await readFile(join(folder, 'phase.json'), 'utf8')
    const other = make()
    await expect(other.open(plan, 2 * hour)).rejects.toThrow(/in use by process/)
    await expect(other.resume()).rejects.toThrow(/in use by process/)
    expect(await readFile(join(folder, 'phase.json'), 'utf8')).toBe(mark)
    await nfs.close()
    expect((await other.open(plan, hour)).mode).toBe('read-write')
  })

  it('gives out nothing that lies outside the depot or is not there', async () => {
    const { nfs, depot, scratch, said } = await makeRig()
    await mkdir(join(scratch, 'private'))
    await symlink(join(scratch, 'private'), join(depot, 'out'))
    await expect(nfs.open(parseNfsPlan({ ...plan, folders: ['out'] }), hour)).rejects.toThrow('out leads out of the depot')
    await expect(nfs.open(parseNfsPlan({ ...plan, folders: ['nothing'] }), hour)).rejects.toThrow('there is no folder nothing')
    expect(said).toEqual([])
  })
})
