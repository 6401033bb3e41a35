// POST /t/<ticket>/up: the report of a boot that is known by its ticket.
import { describe, expect, it } from 'vitest'
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import { createTickets, ticketLifeMs } from '../../src/station/ticket.ts'
import { callFrom, createRig, macA, macB, startedAt } from './rig.ts'

function stage() {
  const clock = { now: startedAt }
  const held = new Map<string, Mac>()
  const come: Mac[] = []
  const tickets = createTickets({
    key: new Uint8Array(32),
    now: () => clock.now,
    steady: () => clock.now,
    leases: { findMac: (ip: Ipv4) => held.get(ip), holdsAny: () => false, gives: () => false },
  })
  const served = {
    come: (mac: Mac) => void come.push(mac),
    last: () => ({ path: 'x', from: 'layers', identity: '1', contentId: 'given', report: {} }) as never,
  }
  const rig = createRig({ deps: { tickets, served } })
  const post = (path: string, body = '', from = '10.9.0.50') => rig.app.request(path, { method: 'POST', body }, callFrom(from))
  return { ...rig, post, tickets, held, come, clock }
}

describe('a report with a ticket', () => {
  it('is that boot’s, with all that the station lacks', async () => {
    const { post, tickets, seen, come } = stage()
    const ticket = tickets.issue(macA, '10.9.0.50', 'kiosk')
    const body = 'release=alpine/3.22\noverlay=another\nmodloop=mounted\nfailed=sshd\nuptime=12'
    expect((await post(`/t/${ticket}/up`, body)).status).toBe(204)
    expect(seen()).toMatchObject([
      {
        kind: 'up',
        mac: macA,
        ip: '10.9.0.50',
        detail: {
          by: 'ticket',
          release: 'alpine/3.22',
          failed: 'sshd',
          uptimeSeconds: 12,
          trouble: 'services failed: sshd; it runs another overlay than it was given',
        },
      },
    ])
    expect(come).toEqual([macA])
    expect(JSON.stringify(seen())).not.toContain(ticket)
  })

  it('may come from another address of the station’s, but not from another station’s', async () => {
    const { post, tickets, held, seen, come } = stage()
    const ticket = tickets.issue(macA, '10.9.0.50', 'kiosk')
    expect((await post(`/t/${ticket}/up`, '', '10.9.0.51')).status).toBe(204)
    held.set('10.9.0.66', macB)
    const refused = await post(`/t/${ticket}/up`, '', '10.9.0.66')
    expect([refused.status, await refused.text()]).toEqual([403, ''])
    expect(seen().map(({ kind }) => kind)).toEqual(['up', 'dropped'])
    expect(come).toEqual([macA])
  })

  it('is refused when the ticket is too old or forged, and unknown without tickets', async () => {
    const { post, tickets, clock, seen } = stage()
    const ticket = tickets.issue(macA, '10.9.0.50', 'kiosk')
    expect((await post(`/t/${ticket.slice(0, 47)}${ticket.endsWith('A') ? 'B' : 'A'}/up`)).status).toBe(403)
    clock.now += ticketLifeMs.up
    expect((await post(`/t/${ticket}/up`)).status).toBe(403)
    expect((await post('/t/short/up')).status).toBe(404)
    expect(seen().map(({ kind }) => kind)).toEqual(['dropped', 'dropped'])
    expect((await createRig().app.request(`/t/${ticket}/up`, { method: 'POST' })).status).toBe(404)
  })

  it('says nothing when the peer has said enough, and is taken all the same', async () => {
    const rig = createRig({ deps: { mayTell: () => false } })
    expect((await rig.app.request(`/up/${macA}`, { method: 'POST', body: 'kernel=6' })).status).toBe(204)
    expect(rig.seen()).toEqual([])
  })
})
