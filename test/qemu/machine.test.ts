import { describe, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { findUefi } from '../../src/qemu/firmware.ts'
import { type Card, machineArguments } from '../../src/qemu/machine.ts'

const mac = parseMac('52:54:00:00:00:01')
const tap: Card = { mac, link: { kind: 'tap', interface: 'tap0' } }
const uefi = { code: '/fw/code.fd', variables: '/run/a,b.fd' }
const line = (...given: Parameters<typeof machineArguments>) => machineArguments(...given).join(' ')

describe('the command line of QEMU', () => {
  it('shows BIOS consoles on the serial line and ends at a reboot', () => {
    const text = line({ firmware: 'bios', cards: [tap], folder: '/run' })
    expect(text).toContain('-machine pc,graphics=off,accel=tcg -vga none -nographic')
    expect(text).toContain('-serial stdio -no-reboot')
    expect(text).toContain('-device virtio-rng-pci')
    expect(text).not.toContain('pflash')
    expect(text).not.toContain(' -S')
  })

  it('puts a tap interface on a hub with an IPv6 that answers', () => {
    const text = line({ firmware: 'bios', cards: [tap], folder: '/run' })
    expect(text).toContain('tap,id=wire0,ifname=tap0,script=no,downscript=no')
    expect(text).toContain('user,id=six0,ipv4=off,ipv6=on,restrict=on')
    expect(text).toContain('-device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01,bootindex=1')
  })

  it.each([
    ['bios', {}, false],
    ['uefi', {}, true],
    ['uefi-http', {}, true],
    ['uefi', { hasRom: true }, false],
    ['bios', { boots: false }, true],
  ] as const)('%s %j: takes the boot ROM away from the card: %s', (firmware, card, isAway) => {
    const text = line({ firmware, cards: [{ ...tap, ...card }], folder: '/run' }, firmware === 'bios' ? undefined : uefi)
    expect(text.includes(',romfile=')).toBe(isAway)
  })

  it('switches off what UEFI would try first', () => {
    const pxe = line({ firmware: 'uefi', cards: [tap], folder: '/run' }, uefi)
    const http = line({ firmware: 'uefi-http', cards: [tap], folder: '/run' }, uefi)
    expect(pxe).toContain('name=opt/org.tianocore/IPv6PXESupport,string=n')
    expect(pxe).not.toContain('IPv4PXESupport')
    expect(http).toContain('name=opt/org.tianocore/IPv4PXESupport,string=n')
    expect(http).toContain('if=pflash,format=raw,unit=0,readonly=on,file=/fw/code.fd')
    expect(http).toContain('unit=1,file=/run/a,,b.fd')
  })

  it('gives two cards, of which one boots', () => {
    const second: Card = { mac: parseMac('52:54:00:00:00:02'), model: 'e1000', link: { kind: 'user', bootfile: 'http://10.0.2.2/a,b' }, boots: false }
    const text = line({ firmware: 'bios', cards: [tap, second], folder: '/run' })
    expect(text).toContain('user,id=net1,bootfile=http://10.0.2.2/a,,b')
    expect(text).toContain('-device e1000,netdev=net1,mac=52:54:00:00:00:02,romfile=')
    expect(text).not.toContain('bootindex=2')
  })

  it('tells who it is, boots a kernel directly, stands still', () => {
    const identity = { uuid: 'b8945908-d6a6-41a9-8ff4-0123456789ab', serial: 'S,1', product: 'Hut' }
    const direct = { kernel: '/k', initramfs: '/i', line: 'console=ttyS0 quiet' }
    const given = machineArguments({ firmware: 'bios', cards: [tap], folder: '/run', identity, direct, isPaused: true, memoryMiB: 256, accel: 'kvm' })
    expect(given.join(' ')).toContain('-uuid b8945908-d6a6-41a9-8ff4-0123456789ab -smbios type=1,serial=S,,1,product=Hut')
    expect(given).toEqual(expect.arrayContaining(['-kernel', '/k', '-initrd', '/i', '-append', 'console=ttyS0 quiet', '-S']))
    expect(given.join(' ')).toContain('accel=kvm')
    expect(given.join(' ')).toContain('-m 256')
  })
})

describe('findUefi', () => {
  it('names the package when there is none', () => {
    expect(() => findUefi([{ code: '/nowhere/code', variables: '/nowhere/vars' }])).toThrow(/UEFI firmware.*ovmf/)
  })
})
