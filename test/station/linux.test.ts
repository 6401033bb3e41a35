import { afterAll, describe, expect, it } from 'vitest'
import { fillMarkers } from '../../src/boot/image.ts'
import { createTickets } from '../../src/station/ticket.ts'
import { seededRandom } from '../support/random.ts'
import { base, createRoom, mac, otherMac, type Room, type RoomInput } from '../support/station.ts'

const rooms: Room[] = []
afterAll(() => {
  for (const room of rooms) room.remove()
})

const installer = {
  name: 'installer',
  kind: 'linux',
  kernel: 'debian/linux',
  initrds: ['debian/initrd.gz'],
  answers: { 'preseed.cfg': 'preseed', 'part.sh': 'part' },
  arguments: ['url={answer:preseed.cfg}'],
  variables: { disk: '/dev/sda', owner: 'The lab’s' },
}
const preseed = `d-i netcfg/get_hostname string <%= it.hostname %>
d-i passwd/user-fullname string <%= it.text(it.variables.owner) %>
d-i partman-auto/disk string <%= it.variables.disk %>
d-i preseed/include string <%= it.answer('part.sh') %>
d-i preseed/late_command string wget -O- --post-data done <%= it.up %>
`
function roomWith(input: RoomInput = {}, template = preseed): Room {
  const room = createRoom({
    stations: [{ name: 'one', macs: [mac], profile: 'installer', variables: { disk: '/dev/vda' } }],
    profiles: [installer],
    ...input,
  })
  rooms.push(room)
  for (const file of ['debian/linux', 'debian/initrd.gz']) room.put(file)
  room.put('templates/preseed.ejs', template)
  room.put('templates/part.ejs', 'echo <%= it.mac %>\n')
  return room
}
const script = 'boot/52-54-00-12-34-56.ipxe'
const answers = 'answers/52-54-00-12-34-56'

describe('answer files', () => {
  it('are the template with what is the station’s, where the kernel line says that they are', async () => {
    const room = roomWith()
    expect(await room.fetch(script)).toContain(`url=${base}/${answers}/preseed.cfg `.trimEnd())
    const text = Buffer.from(await room.fetch(`${answers}/preseed.cfg`), 'latin1').toString()
    expect(text).toBe(`d-i netcfg/get_hostname string one
d-i passwd/user-fullname string The lab’s
d-i partman-auto/disk string /dev/vda
d-i preseed/include string ${base}/${answers}/part.sh
d-i preseed/late_command string wget -O- --post-data done ${base}/up/52-54-00-12-34-56
`)
  })

  it('with something missing in it no installer starts, and the screen says what', async () => {
    const room = roomWith({}, 'd-i x string <%= it.variables.nobody %>\n')
    const text = await room.fetch(script)
    expect(text).not.toMatch(/^kernel/m)
    expect(text).toMatch(/echo Reason: profile installer: templates\/preseed\.ejs:1: /)
    await expect(room.fetch(`${answers}/preseed.cfg`)).rejects.toMatchObject({ code: 'script-refused' })
    expect(room.events.map(({ kind }) => kind)).toContain('script-refused')
  })

  it.each([
    ['a line of its own in a value', '<%= it.text(it.variables.bad) %>'],
    ['a blank in a word', '<%= it.variables.owner %>'],
    ['an answer file that nobody has', '<%= it.answer("ks.cfg") %>'],
    ['a template that nobody has', undefined],
  ])('%s is refused', async (_, template) => {
    const profile = template === undefined ? { ...installer, answers: { 'preseed.cfg': 'nobody' } } : installer
    const room = roomWith({ profiles: [{ ...profile, variables: { ...installer.variables, bad: 'a\nb' } }] }, template)
    expect(await room.fetch(script)).not.toMatch(/^kernel/m)
  })

  it('belong to the profile that the station boots, and to no other', async () => {
    const room = roomWith({ stations: [{ name: 'two', macs: [otherMac], profile: 'wait' }] })
    await expect(room.fetch('answers/52-54-00-ab-cd-ef/preseed.cfg')).rejects.toMatchObject({ code: 'file-missing' })
    await expect(room.fetch('answers/52-54-00-ab-cd-ef/installer/preseed.cfg')).rejects.toMatchObject({ code: 'file-missing' })
    const own = roomWith()
    await expect(own.fetch(`${answers}/other.cfg`)).rejects.toMatchObject({ code: 'file-missing' })
    await expect(own.fetch(`${answers}/constructor`)).rejects.toMatchObject({ code: 'file-missing' })
  })

  it('of what was chosen in a menu have the profile in their path', async () => {
    const menu = { name: 'menu1', kind: 'menu', entries: [{ label: 'Install', profile: 'installer' }] }
    const room = roomWith({ stations: [{ name: 'one', macs: [mac], profile: 'menu1' }], profiles: [installer, menu] })
    const text = await room.fetch('boot/52-54-00-12-34-56/installer.ipxe')
    expect(text).toContain(`url=${base}/${answers}/installer/preseed.cfg`)
    expect(await room.fetch(`${answers}/installer/preseed.cfg`)).toContain('string /dev/sda')
    await expect(room.fetch(`${answers}/preseed.cfg`)).rejects.toMatchObject({ code: 'file-missing' })
  })

  it('are those of the profile that matched what the station told of itself', async () => {
    const room = roomWith({
      stations: [{ name: 'one', macs: [mac] }],
      profiles: [
        { ...installer, match: { product: 'Bench' } },
        { name: 'default', kind: 'local' },
      ],
    })
    await room.fetch(script, { facts: { product: 'Bench' } })
    expect(await room.fetch(`${answers}/preseed.cfg`)).toContain('string one')
  })

  it('carry the ticket of the boot where scripts carry tickets', async () => {
    const tickets = createTickets({
      key: Buffer.alloc(32, 1),
      now: () => Date.now(),
      steady: () => Date.now(),
      leases: { findByMac: () => undefined, findMac: () => undefined } as never,
    })
    const room = roomWith({ door: { tickets } })
    const text = await room.fetch(script)
    const ticket = /url=http:\/\/10\.9\.0\.1:8080\/t\/([A-Za-z0-9_-]{48})\/answers\/52-54-00-12-34-56\/preseed\.cfg/.exec(text)?.[1]
    expect(ticket).toBeDefined()
    expect(await room.fetch(`t/${ticket}/${answers}/preseed.cfg`)).toContain(`--post-data done ${base}/t/${ticket}/up\n`)
  })
})

describe('what is not there', () => {
  it.each<[string, object]>([
    ['a kernel', { kind: 'linux', kernel: 'gone' }],
    ['an initrd of a rescue', { kind: 'rescue', kernel: 'debian/linux', initrd: 'gone' }],
    ['a target', { kind: 'chain', target: 'gone' }],
  ])('%s: the station waits, and its screen says why', async (_, profile) => {
    const room = roomWith({ profiles: [{ ...profile, name: 'installer' }] })
    expect(await room.fetch(script)).toMatch(/echo Reason: gone is not in the depot/)
  })

  it('an unknown marker: the station waits', async () => {
    const room = roomWith({ profiles: [{ ...installer, arguments: ['x={var:nobody}'] }] })
    expect(await room.fetch(script)).toMatch(/echo Reason: profile installer: .*stands for nothing/)
  })
})

describe('menus', () => {
  it('have only what their entries name; without entries no installer', async () => {
    const plain = roomWith({ stations: [{ name: 'one', macs: [mac], profile: 'menu' }], profiles: [installer] })
    expect(await plain.fetch(script)).not.toContain('installer')
    expect(await plain.fetch('boot/52-54-00-12-34-56/installer.ipxe')).toMatch(/^menu /m)
  })

  it('a default that names no entry is none: nothing is chosen by itself', async () => {
    const menu = { name: 'm', kind: 'menu', default: 'nobody', entries: [{ label: 'Install', profile: 'installer' }] }
    const room = roomWith({ stations: [{ name: 'one', macs: [mac], profile: 'm' }], profiles: [installer, menu] })
    expect(await room.fetch(script)).toMatch(/^choose choice \|\| goto menu$/m)
    expect(await room.fetch('pxelinux.cfg/01-52-54-00-12-34-56', { via: 'tftp' })).not.toMatch(/^(TIMEOUT|DEFAULT)/m)
    expect(await room.fetch('grub.cfg-01-52-54-00-12-34-56', { via: 'tftp' })).not.toMatch(/^set (timeout|default)/m)
  })

  it('lead pxelinux and GRUB to the chosen profile in their own form', async () => {
    const menu = { name: 'm', kind: 'menu', entries: [{ label: 'Install', profile: 'installer' }] }
    const room = roomWith({ stations: [{ name: 'one', macs: [mac], profile: 'm' }], profiles: [installer, menu] })
    expect(await room.fetch('/boot/52-54-00-12-34-56/installer.pxelinux', { via: 'tftp' })).toMatch(/^KERNEL \/debian\/linux$/m)
    expect(await room.fetch('/boot/52-54-00-12-34-56/installer.grub', { via: 'tftp' })).toMatch(/^linux '\/debian\/linux' /m)
  })
})

describe('GRUB', () => {
  it('a file of the depot goes before the record; by address and without a key the peer is asked for', async () => {
    const room = roomWith()
    room.presence.learn('10.9.0.50', mac)
    for (const name of ['grub/grub.cfg', 'boot/grub/grub.cfg-01-52-54-00-12-34-56', 'grub/grub.cfg-0A090032'])
      expect(await room.fetch(name, { via: 'tftp' })).toContain("linux '/debian/linux'")
    await expect(room.fetch('grub/grub.cfg-0A09', { via: 'tftp' })).rejects.toMatchObject({ code: 'file-missing' })
    await expect(room.fetch('grub/grub.cfg', { via: 'tftp', peer: '10.9.0.99' })).rejects.toMatchObject({ code: 'file-missing' })
    room.put('grub/grub.cfg', 'mine\n')
    expect(await room.fetch('grub/grub.cfg', { via: 'tftp' })).toBe('mine\n')
  })
})

describe('markers', () => {
  it('leave other braces alone, and what comes out is a kernel word or nothing', () => {
    const find = (kind: string, name?: string) => (kind === 'base' ? base : kind === 'var' ? name : undefined)
    expect(fillMarkers('apkovl={base}/{MAC}.gz', find)).toBe(`apkovl=${base}/{MAC}.gz`)
    expect(() => fillMarkers('x={mac}', find)).toThrow(/stands for nothing/)
    expect(() => fillMarkers('x={var:a b}', find)).toThrow(/cannot stand on a kernel line/)
    const random = seededRandom(11)
    const parts = ['{', '}', 'base', 'var:', ':', ';', ' ', '$(x)', '\n', 'a', '{base}', '{var:;}']
    for (let round = 0; round < 3000; round++) {
      const word = Array.from({ length: 6 }, () => parts[Math.floor(random() * parts.length)]).join('')
      try {
        expect(fillMarkers(word, find)).toMatch(/^[A-Za-z0-9._~:/?=%@,+{}-]+$/)
      } catch (error) {
        expect(error).toHaveProperty('code', expect.stringMatching(/^(marker-unknown|kernel-word)$/))
      }
    }
  })
})
