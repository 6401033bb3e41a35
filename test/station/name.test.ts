import { describe, expect, it } from 'vitest'
import { readName } from '../../src/station/name.ts'
import { seededRandom } from '../support/random.ts'

const mac = '52:54:00:12:34:56'
const spellings = [
  '52:54:00:12:34:56',
  '52-54-00-12-34-56',
  '5254.0012.3456',
  '525400123456',
  '52:54:00:AB:CD:EF'.replace('AB:CD:EF', '12:34:56'),
  '01-52-54-00-12-34-56',
]

describe('names', () => {
  it.each(spellings)('take the MAC as %s', (text) => {
    expect(readName(`configs/${text}.tar.gz`)).toEqual({ kind: 'overlay', mac })
    expect(readName(`configs/${text.toUpperCase()}.apkovl.tar.gz`)).toEqual({ kind: 'overlay', mac })
    expect(readName(`boot/${text}.ipxe`)).toEqual({ kind: 'station', mac })
    expect(readName(`boot/${text}/desk.2.ipxe`)).toEqual({ kind: 'station', mac, profile: 'desk.2' })
    expect(readName(`${text}/undionly.kpxe`)).toEqual({ kind: 'file', mac, path: 'undionly.kpxe' })
    expect(readName(`${text}/autoexec.ipxe`)).toEqual({ kind: 'boot', mac })
  })

  it.each<[string, object]>([
    ['/boot.ipxe', { kind: 'boot' }],
    ['answers/52-54-00-12-34-56/preseed.cfg', { kind: 'answer', mac, file: 'preseed.cfg' }],
    ['answers/525400123456/desk/ks.cfg', { kind: 'answer', mac, file: 'ks.cfg', profile: 'desk' }],
    ['answers/52-54-00-12-34-56/../x', { kind: 'file', path: 'answers/52-54-00-12-34-56/../x' }],
    ['boot/52-54-00-12-34-56/desk.grub', { kind: 'station', mac, profile: 'desk', form: 'grub' }],
    ['/boot/52-54-00-12-34-56/desk.pxelinux', { kind: 'station', mac, profile: 'desk', form: 'pxelinux' }],
    ['boot/52-54-00-12-34-56.grub', { kind: 'file', path: 'boot/52-54-00-12-34-56.grub' }],
    ['/grub/grub.cfg', { kind: 'grub', path: 'grub/grub.cfg', key: { by: 'default' } }],
    ['boot/grub/grub.cfg-01-52-54-00-12-34-56', { kind: 'grub', path: 'boot/grub/grub.cfg-01-52-54-00-12-34-56', key: { by: 'mac', mac } }],
    ['grub.cfg-0A090007', { kind: 'grub', path: 'grub.cfg-0A090007', key: { by: 'ip', ip: '10.9.0.7' } }],
    ['grub.cfg-0A0900', { kind: 'file', path: 'grub.cfg-0A0900' }],
    ['//boot.ipxe', { kind: 'boot' }],
    ['autoexec.ipxe', { kind: 'boot' }],
    ['any/where/autoexec.ipxe', { kind: 'boot' }],
    ['\\x86_64-efi\\autoexec.ipxe', { kind: 'boot' }],
    ['gpxe-script', { kind: 'gpxe' }],
    ['data/gpxe-script', { kind: 'file', path: 'data/gpxe-script' }],
    ['boot/nobody.ipxe', { kind: 'file', path: 'boot/nobody.ipxe' }],
    ['configs/default.tar.gz', { kind: 'file', path: 'configs/default.tar.gz' }],
    ['configs/groups/s.tar.gz', { kind: 'file', path: 'configs/groups/s.tar.gz' }],
    ['525400123456', { kind: 'file', path: '525400123456' }],
    ['releases/a/vmlinuz', { kind: 'file', path: 'releases/a/vmlinuz' }],
    ['', { kind: 'file', path: '' }],
    ['/', { kind: 'file', path: '' }],
    ['pxelinux.cfg/default', { kind: 'pxelinux', path: 'pxelinux.cfg/default', isAtRoot: true, key: { by: 'default' } }],
    ['pxelinux.cfg/01-52-54-00-12-34-56', { kind: 'pxelinux', path: 'pxelinux.cfg/01-52-54-00-12-34-56', isAtRoot: true, key: { by: 'mac', mac } }],
    ['bios/pxelinux.cfg/0A000232', { kind: 'pxelinux', path: 'pxelinux.cfg/0A000232', isAtRoot: false, key: { by: 'ip', ip: '10.0.2.50' } }],
    ['pxelinux.cfg/0A00', { kind: 'pxelinux', path: 'pxelinux.cfg/0A00', isAtRoot: true }],
    ['52-54-00-12-34-56/pxelinux.cfg/default', { kind: 'pxelinux', mac, path: 'pxelinux.cfg/default', isAtRoot: true, key: { by: 'default' } }],
  ])('%s', (name, asked) => {
    expect(readName(name)).toEqual(asked)
  })

  it("know pxelinux's UUID in both orders of its bytes", () => {
    expect(readName('pxelinux.cfg/085994b8-a6d6-a941-8ff4-0123456789ab')).toMatchObject({
      key: { by: 'uuid', uuids: ['085994b8-a6d6-a941-8ff4-0123456789ab', 'b8945908-d6a6-41a9-8ff4-0123456789ab'] },
    })
  })

  it('always mean something, for 20,000 random ones', () => {
    const random = seededRandom(23)
    const words = [
      'boot',
      'configs',
      'pxelinux.cfg',
      mac,
      '525400123456',
      '01-',
      '.ipxe',
      '.tar.gz',
      'autoexec.ipxe',
      '..',
      '/',
      '\\',
      '\0',
      'é',
      'x'.repeat(600),
    ]
    for (let round = 0; round < 20_000; round++) {
      const name = Array.from({ length: Math.floor(random() * 6) }, () => words[Math.floor(random() * words.length)]).join(random() < 0.5 ? '/' : '')
      expect(['boot', 'gpxe', 'station', 'pxelinux', 'overlay', 'file']).toContain(readName(name).kind)
    }
  })
})
