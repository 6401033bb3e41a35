// Scripts of stations whose profile names additions to the initramfs, compared whole; and what they get when one cannot be served.
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { goodOverlay } from '../support/overlay.ts'
import { createRoom, mac, putRelease, type Room } from '../support/station.ts'

const golden = (name: string): string => join(import.meta.dirname, '../golden', name)
const rooms: Room[] = []
afterAll(() => {
  for (const room of rooms) room.remove()
})

function roomWith(...additions: string[]): Room {
  const room = createRoom({
    stations: [{ name: 'station1', macs: [mac], profile: 'default' }],
    profiles: [{ name: 'default', kind: 'alpine', additions }],
  })
  rooms.push(room)
  putRelease(room)
  room.put('configs/default.tar.gz', goodOverlay('default'))
  room.put('additions/site/etc/motd', 'hello\n')
  room.put('additions/net/keys/site.rsa.pub', '-----BEGIN PUBLIC KEY-----\nMA0=\n-----END PUBLIC KEY-----\n')
  return room
}
// The digest is that of the compressed bytes, which zlib's versions make differently.
const settled = (script: string): string => script.replace(/-[0-9a-f]{12}\.cpio/g, '-DIGEST.cpio')
const script = 'boot/52-54-00-12-34-56.ipxe'

describe('a profile with additions', () => {
  it.each([
    ['iPXE', script, 'station-additions.ipxe.txt'],
    ['gpxe-script', 'gpxe-script', 'gpxe-script-additions.txt'],
    ['pxelinux', 'pxelinux.cfg/01-52-54-00-12-34-56', 'pxelinux-additions.txt'],
  ])('has them loaded after the stock initramfs: %s', async (_, name, file) => {
    await expect(settled(await roomWith('site', 'net').fetch(name))).toMatchFileSnapshot(golden(file))
  })

  it('names what is then served, also after a change', async () => {
    const room = roomWith('site')
    const path = /additions\/[^ \n]+/.exec(await room.fetch(script))?.[0] ?? ''
    const served = Buffer.from(await room.fetch(path), 'latin1')
    expect(gunzipSync(served).toString('latin1')).toContain('etc/motd')
    room.put('additions/site/etc/motd', 'bye\n')
    room.pass()
    expect(await room.fetch(script)).not.toContain(path)
    expect(Buffer.from(await room.fetch(path), 'latin1')).toEqual(served)
  })

  it.each(['additions/site/etc/motd', 'additions/site', 'additions/other-123456789abc.cpio.gz'])('does not serve %s', async (path) => {
    await expect(roomWith('site').fetch(path)).rejects.toThrow(expect.objectContaining({ code: 'file-missing' }))
  })

  it('waits, and says why, when one cannot be served', async () => {
    const room = roomWith('site', 'gone')
    const text = await room.fetch(script)
    expect(text).toContain('Reason: addition gone: there is no folder additions/gone in the depot')
    expect(text).not.toContain('kernel ')
    room.put('additions/gone/etc/x', 'x')
    room.pass()
    expect(await room.fetch(script)).toContain('additions/gone-')
    expect((await room.gate.explain(mac)).script.why).toContainEqual(expect.objectContaining({ rule: 'additions', held: true }))
  })
})
