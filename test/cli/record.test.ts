// Records, next boots and tokens by command: without a server over the files, with one over its API; both say and do the same.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readStations } from '../../src/cli/station-table.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

let folder: CliFolder
beforeEach(() => {
  folder = createCliFolder()
  mkdirSync(join(folder.path, 'depot/stations'), { recursive: true })
  writeFileSync(join(folder.path, 'depot/stations/kiosk.yaml'), '# by the door\nmac: 52:54:00:00:00:01\n')
})
afterEach(() => folder.remove())

const readKiosk = (): string => readFileSync(join(folder.path, 'depot/stations/kiosk.yaml'), 'utf8')

describe('records by command', () => {
  /** The commands of one operator, first to last. */
  async function open({ hasServer = true } = {}) {
    const server = hasServer ? await folder.serve() : undefined
    const port = server ? [`--http.port=${new URL(server.base).port}`] : ['--http.port=9']
    return (...words: string[]) => {
      const { code, stdout, stderr } = folder.run(...port, ...words)
      return `${code} ${stdout}${stderr}`.trim()
    }
  }

  it('are made, set, labelled, renamed and removed', async () => {
    const bivouac = await open()
    expect(bivouac('station', 'set', 'kiosk', 'profile=menu', 'labels.room=a12', '--dry-run')).toBe(
      '0 would change stations/kiosk.yaml:\n  # by the door\n  mac: 52:54:00:00:00:01\n  profile: menu\n  labels:\n    room: a12',
    )
    expect(readKiosk()).toBe('# by the door\nmac: 52:54:00:00:00:01\n')
    expect(bivouac('station', 'set', 'kiosk', 'profile=menu')).toBe('0 changed station kiosk')
    expect(readKiosk()).toBe('# by the door\nmac: 52:54:00:00:00:01\nprofile: menu\n')
    expect(bivouac('station', 'add', 'two', '--mac', '5254.0000.0002', '--label', 'room=b1')).toBe('0 made station two')
    expect(bivouac('station', 'add', 'three', '--mac', '52-54-00-00-00-01')).toMatch(/^3 bivouac: 52:54:00:00:00:01 is station kiosk's/)
    expect(bivouac('station', 'set', 'kiosk', 'adress=10.9.0.1')).toMatch(/^2 .*did you mean "address"/)
    expect(bivouac('station', 'label', 'two', 'room-', 'floor=2')).toBe('0 changed station two')
    expect(bivouac('station', 'rename', 'two', 'bench')).toBe('0 station two is bench now')
    expect(bivouac('station', 'show', 'bench')).toBe('0 station bench\n  macs: [52:54:00:00:00:02]\n  labels:\n    floor: "2"')
    expect(bivouac('station', 'remove', 'bench')).toBe('0 removed station bench')
    expect(bivouac('station', 'show', 'bench')).toMatch(/^4 bivouac: there is no station "bench"/)
    expect(bivouac('station', 'history', 'kiosk')).toMatch(/profile - → menu/)
    expect(bivouac('profile', 'add', 'disk', 'kind=local', 'match.group=[kiosk, lobby]')).toBe('0 made profile disk')
    expect(bivouac('profile', 'show', 'disk')).toContain('group: [kiosk, lobby]')
  }, 120_000)

  it('give orders for next boots, and tokens', async () => {
    const bivouac = await open()
    expect(bivouac('boot', 'kiosk', '--profile', 'shell', '--attempts', '2', '--fallback', 'local')).toBe(
      '0 kiosk: shell until it calls back; 0 of 2 attempts',
    )
    expect(bivouac('boot', '--list')).toMatch(/kiosk {2,}shell {2,}active/)
    expect(bivouac('boot', 'kiosk', '--profile', 'gone')).toMatch(/^2 .*there is no profile "gone"/)
    expect(bivouac('boot', 'kiosk', '--clear')).toBe('0 kiosk: boots as usual again')
    expect(bivouac('boot', '--list')).toBe('0 no orders: every station boots its usual profile')
    expect(bivouac('token', 'new', 'night', '--role', 'operate')).toMatch(/^0 New operate token "night", shown only now: bvc_/)
    expect(bivouac('token', 'list')).toMatch(/night {2,}operate/)
    expect(bivouac('token', 'revoke', 'night')).toBe('0 night is no token any more')
  }, 120_000)

  it('need a MAC, and say how other keys are given', async () => {
    const bivouac = await open({ hasServer: false })
    expect(bivouac('station', 'add', 'b9', '--mac', '52:54:00:00')).toMatch(/^2 .*"52:54:00:00" is not a MAC address/)
    expect(bivouac('station', 'add', 'b9', '--mac', '52:54:00:00:00:19', 'group=bench')).toMatch(/^2 .*station set NAME key=value/)
  }, 120_000)

  it('are imported from a table, all or none, without a server too', async () => {
    const bivouac = await open({ hasServer: false })
    writeFileSync(join(folder.path, 'lab.csv'), 'name,mac,group,label.room\nkiosk,52:54:00:00:00:01,lobby,\nb1,52:54:00:00:00:0b,bench,a12\n')
    expect(bivouac('station', 'import', 'lab.csv', '--dry-run')).toBe('0 would have 1 made, 1 changed, 0 the same already')
    expect(bivouac('station', 'import', 'lab.csv')).toBe('0 1 made, 1 changed, 0 the same already')
    expect(bivouac('station', 'import', 'lab.csv')).toBe('0 0 made, 0 changed, 2 the same already')
    writeFileSync(join(folder.path, 'bad.csv'), 'name,mac\nx,52:54:00:00:00:0c\ny,52:54:00:00:00:0b\n')
    expect(bivouac('station', 'import', 'bad.csv')).toMatch(/^3 .*station b1's/)
    expect(bivouac('station', 'show', 'x')).toMatch(/^4/)
    expect(readKiosk()).toContain('# by the door')
  }, 120_000)
})

describe('a table to import', () => {
  it('is a list, a block by name, or CSV', () => {
    expect(readStations('- {name: a, mac: 52:54:00:00:00:01}\n', 'x.yaml')).toMatchObject([{ name: 'a' }])
    expect(readStations('a:\n  mac: 52:54:00:00:00:01\n', 'x.yaml')).toMatchObject([{ name: 'a', mac: '52:54:00:00:00:01' }])
    expect(readStations('{"stations": [{"name": "a"}]}', '-')).toEqual([{ name: 'a' }])
    expect(readStations('name,mac,layers\na,52:54:00:00:00:01;52:54:00:00:00:02,base kiosk\n', 'x.csv')).toEqual([
      { name: 'a', macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'], layers: ['base', 'kiosk'] },
    ])
    expect(() => readStations('name,mac\na\n', 'x.csv')).toThrow(/line 2 has 1 cells/)
    expect(() => readStations('just text', 'x.yaml')).toThrow(/a list of stations/)
  })
})
