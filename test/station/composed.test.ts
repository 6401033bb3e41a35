// Overlays that are composed of layers, behind the gate: who gets which, what a failure does, what is secret, and what a ticket opens.
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import { InputError, MissingError, OutsideError } from '../../src/boot/error.ts'
import type { ComposeAsk, Composed } from '../../src/overlay/composition.ts'
import { createTickets, type Tickets } from '../../src/station/ticket.ts'
import { goodOverlay } from '../support/overlay.ts'
import { createRoom, mac, otherMac, putRelease, type Room, type RoomInput, release } from '../support/station.ts'

const rooms: Room[] = []
afterEach(() => {
  for (const room of rooms.splice(0)) room.remove()
})

const report = { entries: 1, inflatedBytes: 1, world: [], repositories: [], services: [], hasDefaultServices: true, warnings: [] }

/** A composer whose overlays say what they were made of, and that can be told to fail. */
function createStage(input: RoomInput = {}) {
  const asks: ComposeAsk[] = []
  const state = { failure: undefined as Error | undefined, secret: false, salt: '', isLate: false, pinned: undefined as Composed['pinned'] }
  const held = new Map<string, Mac>()
  const clock = { steady: 0 }
  const holder: { room?: Room } = {}
  const compose = (ask: ComposeAsk): Composed | undefined | Promise<Composed | undefined> => {
    asks.push(ask)
    if (state.failure) throw state.failure
    const layers = [...ask.profile.layers, ...(ask.station?.layers ?? []), ...(ask.archive ? ['archive'] : [])]
    const text = `${layers.join('+')} for ${ask.mac} release ${ask.release?.id} ${state.salt}`
    const digest = createHash('sha256').update(text).digest('hex')
    const path = join(holder.room?.root ?? '', 'state', `${digest}.tar.gz`)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text)
    const common = { report, layers, isSecret: state.secret, secretPaths: [], notes: [{ code: 'note', text: 'a note' }] }
    const composed = {
      path,
      digest,
      contentId: digest,
      identity: digest,
      sizeBytes: text.length,
      ...common,
      ...(state.pinned && { pinned: state.pinned }),
    }
    return state.isLate ? Promise.resolve(composed) : composed
  }
  const tickets: Tickets = createTickets({
    key: new Uint8Array(32),
    now: () => holder.room?.now() ?? 0,
    steady: () => clock.steady,
    leases: { findMac: (ip: Ipv4) => held.get(ip), holdsAny: (one) => [...held.values()].includes(one), gives: () => false },
  })
  const given: string[] = []
  const room = createRoom({
    stations: [{ name: 'station1', macs: [mac], group: 'xl', layers: ['own'] }],
    profiles: [
      { name: 'default', kind: 'alpine', layers: ['base'] },
      { name: 'other', kind: 'alpine', layers: ['kiosk'] },
      { name: 'plain', kind: 'alpine' },
    ],
    composer: { compose },
    ...input,
    door: { tickets, onOverlay: (who, overlay) => void given.push(`${who} ${overlay.digest}`), ...input.door },
  })
  holder.room = room
  rooms.push(room)
  putRelease(room)
  const script = (who: Mac = mac, peer = '10.9.0.50'): Promise<string> => room.fetch(`boot/${who}.ipxe`, { peer })
  const ticketed = async (who: Mac = mac, peer = '10.9.0.50'): Promise<string> =>
    /apkovl=http:\/\/10\.9\.0\.1:8080\/(t\/[A-Za-z0-9_-]{48}\/configs\/[0-9a-f-]+\.tar\.gz) /.exec(await script(who, peer))?.[1] ?? 'no ticket'
  const kinds = () => room.events.map(({ kind }) => kind)
  return { room, asks, state, held, clock, given, script, ticketed, kinds }
}

const named = `configs/${mac.replaceAll(':', '-')}.tar.gz`

describe('layers', () => {
  it.each([false, true])('make the overlay, and the archives that are the station’s own join in (late: %s)', async (isLate) => {
    const { room, state, asks, ticketed } = createStage()
    state.isLate = isLate
    expect(await room.fetch(await ticketed())).toContain(`base+own for ${mac} release ${release.id}`)
    room.put('configs/default.tar.gz', goodOverlay('default'))
    expect(await room.fetch(named)).toContain('base+own for')
    room.put('configs/groups/xl.tar.gz', goodOverlay('group'))
    expect(await room.fetch(named)).toContain('base+own+archive for')
    expect(asks.at(-1)?.archive?.path).toBe('configs/groups/xl.tar.gz')
    room.put('configs/52:54:00:12:34:56.tar.gz', goodOverlay('own'))
    expect(await room.fetch(await ticketed())).toContain('base+own+archive for')
    expect(asks.at(-1)?.archive?.path).toBe('configs/52:54:00:12:34:56.tar.gz')
  })

  it('are not asked for where none are named: the archives are as ever', async () => {
    const { room, asks, script } = createStage({ stations: [{ name: 'station1', macs: [mac], profile: 'plain' }] })
    expect(await script()).toContain('nothing to boot')
    room.put('configs/default.tar.gz', goodOverlay('default'))
    expect(await script()).toContain('apkovl=')
    expect(asks).toEqual([])
  })

  it('tell the event what was given, whole', async () => {
    const { room, ticketed, given } = createStage()
    await room.fetch(await ticketed())
    const event = room.events.find(({ kind }) => kind === 'overlay')
    expect(event?.detail).toMatchObject({ from: 'layers', layers: 'base,own', path: named, warnings: 'note', file: `t/*/${named}` })
    expect(event?.detail?.digest).toMatch(/^[0-9a-f]{64}$/)
    expect(given).toEqual([`${mac} ${event?.detail?.digest}`])
  })

  it('of the profile that the script booted are given, not those of another', async () => {
    const { room, ticketed } = createStage({
      stations: [],
      site: { unknown: 'default' },
      profiles: [
        { name: 'default', kind: 'alpine', layers: ['base'] },
        { name: 'dell', kind: 'alpine', layers: ['dell'], match: { manufacturer: 'Dell' } },
      ],
    })
    const text = await room.fetch(`boot/${mac}.ipxe`, { facts: { manufacturer: 'Dell' } })
    const name = /(t\/[^/]+\/configs\/\S+)/.exec(text)?.[1] ?? ''
    expect(await room.fetch(named)).toContain('dell for')
    expect(await room.fetch(await ticketed())).toContain('base for')
    expect(await room.fetch(name)).toContain('dell for')
    expect(await room.fetch(named)).toContain('base for')
  })

  it('are shown by explain with their digest, and a word in the ticket’s place', async () => {
    const { room, state } = createStage()
    state.secret = true
    const { overlay } = await room.gate.explain(mac)
    expect(overlay).toMatchObject({
      path: named,
      from: 'layers',
      layers: ['base', 'own'],
      isSecret: true,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })

  it('are told by explain to be held where an operator went back to a version', async () => {
    const { room, state } = createStage()
    expect((await room.gate.explain(mac)).overlay).not.toHaveProperty('pinned')
    const pinned = { version: 3, at: 1_763_000_000_000, who: 'anna' }
    state.pinned = pinned
    room.pass()
    expect((await room.gate.explain(mac)).overlay).toMatchObject({ from: 'layers', pinned })
  })

  it('are behind the ticket of a pxelinux configuration too', async () => {
    const { room } = createStage()
    const text = await room.fetch(`pxelinux.cfg/01-${mac.replaceAll(':', '-')}`, { via: 'tftp' })
    const name = /(t\/[^/]+\/configs\/\S+)/.exec(text)?.[1] ?? ''
    expect(await room.fetch(name)).toContain('base+own for')
  })

  it('of a station’s own loader need the ticket only where they are secret, and the same one for a minute', async () => {
    const scripts: string[] = []
    const stationLoaders = {
      open: async (_: string, script: string) => {
        scripts.push(/apkovl=\S+/.exec(script)?.[0] ?? 'none')
        return { bytes: new Uint8Array(5), sha256: 'x', from: 'y' }
      },
    }
    const { room, state, clock } = createStage({ stationLoaders })
    room.put('ipxe/undionly.kpxe', 'loader')
    const ask = (): Promise<string> => room.fetch(`${mac.replaceAll(':', '-')}/undionly.kpxe`, { via: 'tftp' })
    await ask()
    state.secret = true
    state.salt = 'another'
    room.pass()
    await ask()
    await ask()
    await room.fetch((scripts[1] ?? '').replace('apkovl=http://10.9.0.1:8080/', ''))
    await ask()
    clock.steady += 60_000
    await ask()
    expect(scripts.map((line) => (line.includes('/t/') ? 'ticket' : line.includes('apkovl') ? 'open' : 'none'))).toEqual([
      'open',
      'ticket',
      'ticket',
      'ticket',
      'ticket',
    ])
    expect(new Set(scripts.slice(1)).size).toBe(3)
    expect(scripts[1]).toBe(scripts[2])
  })

  it('are never behind a script that does not know whose it is', async () => {
    const { room } = createStage()
    room.put('configs/default.tar.gz', goodOverlay('default'))
    for (const peer of ['10.9.0.77', '10.9.0.50'])
      expect(await room.fetch('gpxe-script', { peer })).toContain('asks for this station’s script'.replace('’', "'"))
  })
})

describe('a composition that fails', () => {
  const wrong = new InputError('layer-missing', 'there is no layer "own"; make the folder overlays/own', { file: 'overlays/own' })

  it('is never in a script: the station waits, with the reason', async () => {
    const { room, state, script } = createStage()
    state.failure = wrong
    const text = await script()
    expect(text).not.toContain('apkovl')
    expect(text).toContain('there is no layer own')
    expect(room.events.find(({ kind }) => kind === 'overlay-broken')?.detail).toMatchObject({ file: 'overlays/own' })
    await expect(room.open(named)).rejects.toBeInstanceOf(MissingError)
    expect(await room.gate.explain(mac)).toMatchObject({ overlay: { missing: expect.stringContaining('make the folder overlays/own') } })
  })

  it('gives the profile withoutOverlay, with an overlay of its own', async () => {
    const { state, script, asks } = createStage({ site: { withoutOverlay: 'plain' } })
    state.failure = wrong
    expect(await script()).toContain('nothing to boot')
    const {
      room,
      ticketed,
      state: second,
    } = createStage({
      site: { withoutOverlay: 'other' },
      stations: [],
      profiles: [
        { name: 'default', kind: 'alpine', layers: ['base'], match: { mac } },
        { name: 'other', kind: 'alpine', layers: ['kiosk'] },
      ],
    })
    second.salt = 'x'
    expect(await room.fetch(await ticketed())).toContain('base for')
    expect(asks.length).toBeGreaterThan(0)
  })

  it('by the disk leaves the last good one in force, but not one that the layers would refuse', async () => {
    const { room, state, ticketed, script } = createStage()
    const first = await room.fetch(await ticketed())
    state.failure = new OutsideError('overlay-read', 'the disk is away', true)
    room.pass()
    expect(await room.fetch(await ticketed())).toBe(first)
    state.failure = wrong
    room.pass()
    expect(await script()).not.toContain('apkovl')
  })

  it('after its script does not leave the station open: it gets what was promised', async () => {
    const { room, state, ticketed } = createStage()
    const name = await ticketed()
    state.failure = wrong
    room.pass()
    expect(await room.fetch(name)).toContain('base+own for')
    expect(room.events.at(-1)?.detail?.promised).toContain('no layer')
  })

  it('of a broken archive is that archive’s', async () => {
    const { room, script, asks } = createStage()
    room.put(named, 'not gzip')
    expect(await script()).not.toContain('apkovl')
    expect(room.events.find(({ kind }) => kind === 'overlay-broken')?.detail?.file).toBe(named)
    expect(asks).toEqual([])
  })
})

describe.each([
  ['a secret overlay', true, 'open'],
  ['any overlay under access: ticket', false, 'ticket'],
] as const)('%s', (_, secret, overlayAccess) => {
  const stage = () => {
    const made = createStage({ door: { overlayAccess }, site: { unknown: 'default' } })
    made.state.secret = secret
    return made
  }
  const reasonOf = ({ room }: { room: Room }) => String(room.events.findLast(({ kind }) => kind === 'overlay-refused')?.detail?.reason)

  it('is given to its station once for each boot', async () => {
    const made = stage()
    const name = await made.ticketed()
    expect(await made.room.fetch(name)).toContain('base+own')
    await expect(made.room.open(name)).rejects.toMatchObject({ code: 'overlay-refused' })
    expect(reasonOf(made)).toContain('used already')
    expect(await made.room.fetch(await made.ticketed())).toContain('base+own')
  })

  it('is refused without a ticket, with another’s, at another address, too late, and forged', async () => {
    const made = stage()
    const name = await made.ticketed()
    const others = await made.ticketed(otherMac)
    const refused = async (path: string, reason: string, peer = '10.9.0.50'): Promise<void> => {
      await expect(made.room.open(path, { peer })).rejects.toMatchObject({ code: 'overlay-refused' })
      expect(reasonOf(made)).toContain(reason)
      made.room.pass(20_000)
    }
    await refused(named, 'with the ticket of a boot alone')
    await refused(name, 'was not given to 10.9.0.66', '10.9.0.66')
    await refused(others.replace(/[^/]+$/, named.slice(8)), `that of ${otherMac}`)
    await refused(
      name.replace(/^t\/./, (start) => (start.endsWith('A') ? 't/B' : 't/A')),
      'none of ours',
    )
    made.clock.steady += 15 * 60_000
    await refused(name, 'too old')
    expect(JSON.stringify(made.room.events)).not.toContain(name.split('/')[1])
    expect(made.given).toEqual([])
  })

  it('is not used up by a look at its head, and not by a download that was cut', async () => {
    const made = stage()
    const name = await made.ticketed()
    const head = await made.room.open(name, { head: true })
    head.content.close()
    expect(head.cut).toBeUndefined()
    const first = await made.room.open(name)
    await expect(made.room.open(name)).rejects.toMatchObject({ code: 'overlay-refused' })
    first.cut?.()
    expect(await made.room.fetch(name)).toContain('base+own')
  })

  it('is kept by no promise for who has no ticket', async () => {
    const made = stage()
    await made.ticketed()
    made.state.failure = new InputError('x', 'gone')
    made.room.pass()
    await expect(made.room.open(named)).rejects.toMatchObject({ code: 'overlay-refused' })
  })

  it('whose file is away is an error, and its promise is kept', async () => {
    const made = stage()
    const name = await made.ticketed()
    rmSync(join(made.room.root, 'state'), { recursive: true })
    made.state.failure = new OutsideError('overlay-read', 'away', true)
    made.room.pass()
    expect(await made.room.fetch(name)).toContain('base+own')
  })
})

it('what a station saved that had secrets is not given by itself either', async () => {
  const { room } = createStage({
    stations: [{ name: 'station1', macs: [mac], profile: 'wait' }],
    door: { hasSecrets: async (who) => who === mac },
  })
  for (const path of [named, 'configs/groups/xl.tar.gz', `configs/${otherMac}.tar.gz`]) room.put(path, goodOverlay(path))
  for (const path of [named, `configs/${mac}.tar.gz`, `Configs/${mac}.tar.gz`, `configs/${mac.replaceAll(':', '')}.apkovl.tar.gz`])
    await expect(room.open(path)).rejects.toMatchObject({ code: 'overlay-refused' })
  expect((await room.fetch(`configs/${otherMac}.tar.gz`)).length).toBeGreaterThan(100)
})

it('under access: ticket no archive is had by its path, and no gpxe-script names one', async () => {
  const { room } = createStage({ stations: [], profiles: [{ name: 'default', kind: 'alpine' }], door: { overlayAccess: 'ticket' } })
  const copies = [`${named}.bak`, 'configs/old.tgz', 'configs/groups/old.tar']
  for (const path of ['configs/default.tar.gz', 'configs/groups/xl.tar.gz', `configs/${mac}.tar.gz`, ...copies]) room.put(path, goodOverlay(path))
  const asked = ['configs/default.tar.gz', 'configs/groups/xl.tar.gz', 'Configs/default.tar.gz', `configs/${mac}.tar.gz`, named, ...copies]
  for (const path of [...asked, `${mac}/configs/old.tgz`]) await expect(room.open(path)).rejects.toBeInstanceOf(MissingError)
  expect(await room.fetch('gpxe-script', { peer: '10.9.0.99' })).not.toContain('apkovl')
})

it('a ticket that is asked for in a wrong way is in no event', async () => {
  const { room, ticketed } = createStage()
  const ticket = (await ticketed()).split('/')[1] ?? ''
  for (const name of [
    `t/${ticket}/none`,
    `t/${ticket}x/${named}`,
    `T/${ticket}/${named}`,
    `52-54-00-12-34-56/t/${ticket}/y`,
    `t/${ticket}`,
    `x/t/${ticket}/y`,
  ])
    await room.open(name).catch(() => undefined)
  expect(room.events.filter(({ kind }) => kind === 'file-missing').length).toBeGreaterThan(4)
  expect(JSON.stringify(room.events)).not.toContain(ticket)
})
