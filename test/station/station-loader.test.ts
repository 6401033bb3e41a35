// Loaders under a station's path that carry its own script (setting loaderScript: station).
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Artifacts, createArtifacts } from '../../src/ipxe/artifact.ts'
import { fingerprintOf } from '../../src/ipxe/fingerprint.ts'
import { createInstantLoaders } from '../../src/ipxe/instant.ts'
import { createPacker, type Packer } from '../../src/ipxe/packer.ts'
import type { Change } from '../../src/ipxe/patch.ts'
import { createPublisher, type Publisher } from '../../src/ipxe/publish.ts'
import { readSlot, renderSlot } from '../../src/ipxe/slot.ts'
import { createRoom, mac, otherMac, type Room } from '../support/station.ts'

const site = '#!ipxe\necho the site\n'
let room: Room
let packer: Packer
let artifacts: Artifacts
let publisher: Publisher
let changes: Change[]

/** The room's depot is known only when it is there; the loaders are asked later. */
beforeEach(() => {
  packer = createPacker()
  changes = []
  let loaders: ReturnType<typeof createInstantLoaders> | undefined
  room = createRoom({
    stations: [
      { name: 'one', macs: [mac], profile: 'local' },
      { name: 'two', macs: [otherMac], profile: 'shell' },
    ],
    profiles: [
      { name: 'default', kind: 'alpine' },
      { name: 'local', kind: 'local' },
      { name: 'shell', kind: 'script', template: 'shell.ipxe' },
    ],
    stationLoaders: { open: async (name, script) => loaders?.open(name, script) },
  })
  artifacts = createArtifacts({ depot: room.depot })
  publisher = createPublisher({ depot: room.depot, artifacts, now: () => 1 })
  const change: Packer['change'] = (blank, wanted) => {
    changes.push(wanted)
    return packer.change(blank, wanted)
  }
  loaders = createInstantLoaders({ artifacts, publisher, change })
})
afterEach(async () => {
  await packer.close()
  room.remove()
})

async function announce(slot: boolean, scriptBytes = 4096): Promise<void> {
  const body = Buffer.concat([Buffer.from('MZ head '), slot ? renderSlot(site, scriptBytes) : Buffer.from(site), Buffer.from(' tail')])
  const manifest = await artifacts.add(
    {
      ...{ fingerprint: fingerprintOf(`${slot} ${scriptBytes}`), kind: 'built', target: 'bin-x86_64-efi/snponly.efi', file: 'snponly.efi' },
      ...{ announce: ['x86_64-efi/snponly.efi', 'snponly.efi'], source: { name: 's', from: '/s', pin: 'commit:1' }, settings: {}, toolchain: [] },
      ...{ durationMs: 1, builtAt: 1, ...(slot && { slot: { scriptBytes, authorities: [] } }) },
    },
    { 'snponly.efi': body },
  )
  await publisher.publish(manifest)
  room.pass()
}

const path = (who: string, name = 'snponly.efi'): string => `${who.replaceAll(':', '-')}/${name}`
const slotOf = (text: string): string => readSlot(Buffer.from(text, 'latin1'))

describe("a station's own loader", () => {
  it("carries that station's script, by TFTP as by HTTP, and is packed once", async () => {
    await announce(true)
    const [one, again, two] = await Promise.all([
      room.fetch(path(mac)),
      room.fetch(path(mac, 'ipxe/x86_64-efi/snponly.efi'), { via: 'tftp' }),
      room.fetch(path(otherMac)),
    ])
    expect(again).toBe(one)
    expect(two).not.toBe(one)
    expect(changes).toHaveLength(2)
    const own = (await room.fetch(`boot/${mac.replaceAll(':', '-')}.ipxe`)).split('\n').slice(1).join('\n').trimEnd()
    expect(slotOf(one)).toContain(own)
    expect(slotOf(one)).toMatch(
      /^#!ipxe\n# Bivouac: the loader of 52:54:00:12:34:56 alone[\s\S]*\nset user-class bivouac\n[\s\S]*\ndhcp net\$\{nic\} && goto station/,
    )
    await expect(slotOf(one)).toMatchFileSnapshot(join(import.meta.dirname, '../golden/loader.ipxe.txt'))
    expect(one).toMatch(/^MZ head [\s\S]* tail$/)
    expect(room.events.find(({ kind, mac: who }) => kind === 'loader' && who === mac)?.detail).toMatchObject({
      ...{ artifact: fingerprintOf('true 4096').slice(0, 12), profile: 'local', source: 'depot', sizeBytes: one.length },
    })
  })

  it('is the announced one under its plain name, whoever asks', async () => {
    await announce(true)
    await room.fetch(path(mac))
    expect(slotOf(await room.fetch('snponly.efi'))).toBe(site)
  })

  it.each<[string, () => Promise<void>, string, RegExp]>([
    ['a loader without a slot', () => announce(false), 'slot-missing', /snponly\.efi was built without a slot/],
    ['a script that is too long', () => announce(true, 512), 'script-too-long', /the slot has room for/],
    ['a file that was not built here', async () => room.put('ipxe/snponly.efi', 'by hand'), 'slot-missing', /not built here/],
  ])('refuses %s, and says so once', async (_, lay, code, reason) => {
    await lay()
    for (let times = 0; times < 2; times++) await expect(room.open(path(mac))).rejects.toMatchObject({ code })
    const told = room.events.filter(({ kind }) => kind === 'file-missing')
    expect(told.map(({ mac: who, detail }) => [who, detail?.reason])).toEqual([[mac, expect.stringMatching(reason)]])
  })

  it('leaves pxelinux.0 and other files alone', async () => {
    room.put('pxelinux.0', 'pxelinux')
    expect(await room.fetch(path(mac, 'pxelinux.0'))).toBe('pxelinux')
  })
})

describe('the packer', () => {
  it('answers errors with their code, works on after them, and refuses when it is closed or full', async () => {
    const small = createPacker({ queueLimit: 1 })
    try {
      const manifest = { slot: { scriptBytes: 1024, authorities: [] }, file: 'snponly.efi' } as never
      const blank = { manifest, binary: renderSlot(site, 1024) }
      await expect(small.change({ manifest, binary: Buffer.from('nothing') }, { script: site })).rejects.toMatchObject({ code: 'slot-missing' })
      const work = small.change(blank, { script: '#!ipxe\nshell\n' })
      await expect(small.change(blank, { script: site })).rejects.toMatchObject({ code: 'packer-busy' })
      expect(readSlot(await work)).toBe('#!ipxe\nshell\n')
    } finally {
      await small.close()
    }
    await expect(small.change({} as never, {})).rejects.toMatchObject({ code: 'packer-closed' })
  })
})
