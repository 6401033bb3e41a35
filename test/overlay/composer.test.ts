import { describe, expect, it } from 'vitest'
import { createRig, membersOf, profile, release, station } from './rig.ts'

describe('a composed overlay', () => {
  it('is not there when nobody names a layer', async () => {
    const { composer } = await createRig()
    expect(composer.compose({ profile: profile(), station: station() })).toBeUndefined()
  })

  it('has what a station needs and no layer brings', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/motd': 'hello\n', 'overlays/base/layer.yaml': 'packages: [htop]\nroot: locked\n' })
    const composed = await rig.make({ release })
    const members = await membersOf(composed)
    expect([...members.keys()]).toMatchInlineSnapshot(`
      [
        "etc",
        "etc/apk",
        "etc/apk/world",
        "etc/bivouac",
        "etc/hostname",
        "etc/init.d",
        "etc/init.d/bivouac-interfaces",
        "etc/local.d",
        "etc/local.d/bivouac-root.start",
        "etc/motd",
        "etc/runlevels",
        "etc/runlevels/boot",
        "etc/runlevels/boot/bivouac-interfaces",
        "etc/runlevels/boot/bootmisc",
        "etc/runlevels/boot/hostname",
        "etc/runlevels/boot/modules",
        "etc/runlevels/boot/networking",
        "etc/runlevels/boot/sysctl",
        "etc/runlevels/boot/syslog",
        "etc/runlevels/default",
        "etc/runlevels/default/local",
        "etc/runlevels/shutdown",
        "etc/runlevels/shutdown/killprocs",
        "etc/runlevels/shutdown/mount-ro",
        "etc/runlevels/shutdown/savecache",
        "etc/runlevels/sysinit",
        "etc/runlevels/sysinit/devfs",
        "etc/runlevels/sysinit/dmesg",
        "etc/runlevels/sysinit/hwdrivers",
        "etc/runlevels/sysinit/mdev",
        "etc/runlevels/sysinit/modloop",
        "etc/bivouac/overlay",
      ]
    `)
    expect(composed.report).toMatchObject({ hostname: 'kiosk-1', world: ['htop'], warnings: [] })
  })
})
