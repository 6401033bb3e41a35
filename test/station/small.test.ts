// The small parts of the room: presence, quiet, the byte cache, steps, values that come at once or later.
import { describe, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { indexRecords, profileSchema } from '../../src/boot/record.ts'
import { createByteCache } from '../../src/station/cache.ts'
import { textContent } from '../../src/station/content.ts'
import { onward, orElse } from '../../src/station/maybe.ts'
import { createPresence } from '../../src/station/presence.ts'
import { createQuiet } from '../../src/station/quiet.ts'
import { isLoaderName, stepOf } from '../../src/station/step.ts'

const [one, two, three] = ['01', '02', '03'].map((end) => parseMac(`52:54:00:00:00:${end}`))
if (!one || !two || !three) throw new Error('three MACs')

describe('presence', () => {
  it('remembers who was last seen at an address', () => {
    const presence = createPresence({ now: () => 0 })
    presence.learn('10.9.0.5', one)
    presence.learn('10.9.0.5', two)
    expect([presence.find('10.9.0.5'), presence.find('10.9.0.6')]).toEqual([two, undefined])
  })

  it('counts from the last loader', () => {
    let clock = 1000
    const presence = createPresence({ now: () => clock })
    expect(presence.sinceLoaderMs(one)).toBeUndefined()
    presence.loaderFetched(one)
    clock += 250
    expect(presence.sinceLoaderMs(one)).toBe(250)
    clock -= 5000
    expect(presence.sinceLoaderMs(one)).toBe(0)
  })

  it('forgets who was seen longest ago, and no more than that', () => {
    const presence = createPresence({ now: () => 0, maxEntries: 2 })
    presence.learn('a', one)
    presence.learn('b', two)
    presence.learn('a', one)
    presence.learn('c', three)
    expect(['a', 'b', 'c'].map(presence.find)).toEqual([one, undefined, three])
    for (const mac of [one, two, three]) presence.loaderFetched(mac)
    expect([one, two, three].map(presence.sinceLoaderMs)).toEqual([undefined, 0, 0])
  })
})

describe('quiet', () => {
  it('does not fall silent for as long as the clock was set back', () => {
    let clock = 3_600_000
    const quiet = createQuiet({ now: () => clock, everyMs: 1000 })
    expect(quiet.mayTell('a', 'peer')).toBe(true)
    clock = 0
    expect([quiet.mayTell('a', 'peer'), quiet.mayTell('a', 'peer')]).toEqual([true, false])
  })

  it('tells the same thing once in a while and holds a loud peer down', () => {
    let clock = 0
    const quiet = createQuiet({ now: () => clock, everyMs: 1000, perPeer: 3 })
    expect([quiet.mayTell('a'), quiet.mayTell('a')]).toEqual([true, false])
    clock = 1000
    expect(quiet.mayTell('a')).toBe(true)
    expect(['1', '2', '3', '4', '5'].map((key) => quiet.mayTell(key, 'loud'))).toEqual([true, true, true, false, false])
    expect(quiet.mayTell('6', 'other')).toBe(true)
    clock = 2000
    expect(quiet.mayTell('4', 'loud')).toBe(true)
  })
})

describe('the byte cache', () => {
  it('stays within its limit and drops what was used longest ago', () => {
    const cache = createByteCache(40)
    for (const key of ['a', 'b', 'c', 'd']) cache.put(key, new Uint8Array(10))
    cache.get('a')
    cache.put('e', new Uint8Array(10))
    expect(['a', 'b', 'c', 'd', 'e'].filter((key) => cache.get(key))).toEqual(['a', 'c', 'd', 'e'])
    expect(cache.sizeBytes()).toBe(40)
  })

  it('keeps nothing that is more than a quarter of it, and counts a replaced entry once', () => {
    const cache = createByteCache(40)
    cache.put('big', new Uint8Array(11))
    cache.put('a', new Uint8Array(10))
    cache.put('a', new Uint8Array(5))
    expect([cache.get('big'), cache.sizeBytes()]).toEqual([undefined, 5])
    cache.put('a', new Uint8Array(11))
    expect([cache.get('a'), cache.sizeBytes()]).toEqual([undefined, 0])
  })
})

describe('steps', () => {
  const profile = profileSchema.parse({
    name: 'odd',
    kind: 'alpine',
    kernel: 'releases/odd/linux',
    initramfs: 'releases/odd/start',
    modloop: 'releases/odd/mods',
  })
  const records = indexRecords([], [profile], [{ id: 'r', kernel: 'releases/r/bzImage', initramfs: 'releases/r/initrd', flavour: 'lts' }])
  it.each([
    ['releases/odd/linux', 'kernel'],
    ['releases/odd/start', 'initramfs'],
    ['releases/odd/mods', 'modloop'],
    ['releases/r/bzImage', 'kernel'],
    ['vmlinuz-virt', 'kernel'],
    ['a/b/initramfs-lts', 'initramfs'],
    ['modloop-lts', 'modloop'],
    ['sshkeys.pub', 'ssh-keys'],
    ['apk/v3.22/main/x86_64/APKINDEX.tar.gz', 'index'],
    ['apk/v3.23/main/x86_64/Packages.adb', 'index'],
    ['apk/v3.22/main/x86_64/musl-1.2.5-r0.apk', 'package'],
    ['data/readme.txt', undefined],
  ])('%s is %s', (path, step) => {
    expect(stepOf(path, records)).toBe(step)
  })

  it.each([
    ['undionly.kpxe', true],
    ['undionly.kkpxe', true],
    ['x.kkkpxe', true],
    ['ipxe.pxe', true],
    ['a/snponly.efi', true],
    ['pxelinux.0', true],
    ['ipxe/anything', true],
    ['vmlinuz', false],
    ['notes.txt', false],
  ])('%s: loader %s', (path, is) => {
    expect(isLoaderName(path)).toBe(is)
  })
})

describe('values that come at once or later', () => {
  it('go on at once, or later, and are rescued either way', async () => {
    expect(onward(1, (value) => value + 1)).toBe(2)
    expect(await onward(Promise.resolve(1), (value) => value + 1)).toBe(2)
    const fail = (): never => {
      throw new Error('x')
    }
    expect(orElse<number>(fail, () => 3)).toBe(3)
    expect(
      await orElse<number>(
        () => Promise.reject(new Error('x')),
        () => 3,
      ),
    ).toBe(3)
  })
})

describe('rendered text', () => {
  it('has the same tag for the same bytes, another for others, and reads like a file', async () => {
    const [first, again, other] = ['a', 'a', 'b'].map((text) => textContent(text))
    expect(first?.etag).toBe(again?.etag)
    expect(first?.etag).not.toBe(other?.etag)
    expect(first).toMatchObject({ sizeBytes: 1, type: 'text/plain' })
    expect(first?.modifiedAt).toBeUndefined()
  })
})
