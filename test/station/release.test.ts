// What a release's manifest changes in a station's script: where packages come from, by branch.
import { afterAll, describe, expect, it } from 'vitest'
import { goodOverlay } from '../support/overlay.ts'
import { base, createRoom, mac, putRelease, type Room, release } from '../support/station.ts'

const rooms: Room[] = []
afterAll(() => {
  for (const room of rooms) room.remove()
})

function roomOf(branch: string | undefined, profile: object = {}): Room {
  const room = createRoom({
    stations: [{ name: 'station1', macs: [mac], profile: 'p' }],
    profiles: [{ name: 'p', kind: 'alpine', ...profile }],
    releases: [
      { ...release, ...(branch && { branch, version: `${branch.slice(1)}.1`, repositories: [`apk/${branch}/main`, `apk/${branch}/community`] }) },
    ],
  })
  rooms.push(room)
  putRelease(room)
  room.put('configs/default.tar.gz', goodOverlay('default'))
  return room
}

const repositories = (script: string): string | undefined => /alpine_repo=(\S+)/.exec(script)?.[1]
const own = { repositories: ['http://10.9.0.4/v3.22/main', 'data/own'] }

describe('the repositories of a script', () => {
  it.each([
    ['none, without a manifest', undefined, {}, undefined],
    ["the release's, as a list from v3.20 on", 'v3.22', {}, `${base}/apk/v3.22/main,${base}/apk/v3.22/community`],
    ['one alone before v3.20', 'v3.19', {}, `${base}/apk/v3.19/main`],
    ["the profile's, where it names some", 'v3.22', own, `http://10.9.0.4/v3.22/main,${base}/data/own`],
    ["the profile's first one before v3.20", 'v3.15', own, 'http://10.9.0.4/v3.22/main'],
    ['none, when alpine_repo is omitted', 'v3.22', { omit: ['alpine_repo'] }, undefined],
  ])('are %s', async (_, branch, profile, expected) => {
    expect(repositories(await roomOf(branch, profile).fetch('boot/52-54-00-12-34-56.ipxe'))).toBe(expected)
  })

  it('are explained: those of the release, and the one that an old init does not take', async () => {
    const { script } = await roomOf('v3.19').gate.explain(mac)
    expect(script.why.filter(({ rule }) => rule === 'repositories')).toEqual([
      { rule: 'repositories', held: true, text: 'of release alpine/3.22.2/x86_64/lts: apk/v3.19/main' },
      {
        rule: 'repositories',
        held: false,
        text: "apk/v3.19/community: the init of v3.19 takes one only; this one must be in the overlay's etc/apk/repositories",
      },
    ])
  })
})
