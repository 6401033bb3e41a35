// The import table of the house: who may import whom, downward only, no cycles, no barrels, no default exports.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const source = resolve(import.meta.dirname, '../src')

const mayImport: Record<string, readonly string[]> = {
  boot: [],
  store: ['boot'],
  dhcp: ['boot', 'store'],
  ipxe: ['boot', 'store'],
  alpine: ['boot', 'store'],
  apk: ['boot', 'alpine'],
  upstream: ['boot', 'store'],
  mirror: ['boot', 'store', 'alpine', 'apk', 'upstream'],
  release: ['boot', 'store', 'alpine', 'apk', 'upstream'],
  overlay: ['boot', 'store', 'alpine', 'apk'],
  power: ['boot'],
  pilot: ['boot', 'store', 'power'],
  import: ['boot', 'store', 'alpine', 'pilot', 'dnsmasq'],
  nfs: ['boot', 'store'],
  dnsmasq: ['boot', 'store'],
  tftp: ['boot'],
  station: ['boot', 'store', 'ipxe', 'alpine', 'overlay', 'mirror', 'release'],
  media: ['boot', 'store', 'alpine', 'apk', 'mirror', 'overlay', 'release', 'ipxe'],
  http: ['station', 'boot', 'store', 'ipxe', 'alpine', 'apk', 'overlay', 'mirror', 'release', 'nfs', 'power', 'pilot'],
  qemu: ['boot', 'alpine', 'apk'],
  config: ['boot', 'store', 'alpine'],
  server: [
    'boot',
    'store',
    'dhcp',
    'tftp',
    'ipxe',
    'alpine',
    'station',
    'http',
    'config',
    'apk',
    'upstream',
    'mirror',
    'release',
    'overlay',
    'nfs',
    'media',
    'dnsmasq',
    'power',
    'pilot',
  ],
  cli: [
    'server',
    'config',
    'boot',
    'store',
    'ipxe',
    'alpine',
    'station',
    'http',
    'qemu',
    'apk',
    'upstream',
    'mirror',
    'release',
    'overlay',
    'nfs',
    'media',
    'dnsmasq',
    'power',
    'pilot',
    'import',
  ],
  runtime: [],
}

const files = listFiles(source)

function listFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name !== 'node_modules')
    .flatMap((name) => {
      const path = join(folder, name)
      return statSync(path).isDirectory() ? listFiles(path) : /\.m?[jt]s$/.test(name) ? [path] : []
    })
}

const roomOf = (path: string): string => (relative(source, path).split('/')[0] as string).replace(/\.ts$/, '')

const importsOf = (path: string): string[] =>
  [...readFileSync(path, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((found) => resolve(dirname(path), found[1] as string))

describe('the house', () => {
  it('has no room that the table does not know', () => {
    expect([...new Set(files.map(roomOf))].filter((room) => !(room in mayImport))).toEqual([])
  })

  it.each(files.map((path) => [relative(source, path), path]))('%s imports only what its room may', (_, path) => {
    const room = roomOf(path as string)
    const wrong = importsOf(path as string)
      .map(roomOf)
      .filter((other) => other !== room && !mayImport[room]?.includes(other))
    expect(wrong).toEqual([])
  })

  it('has no import cycle between files', () => {
    const state = new Map<string, 'open' | 'done'>()
    const visit = (path: string, trail: string[]): void => {
      if (state.get(path) === 'done') return
      if (state.get(path) === 'open') throw new Error(`cycle: ${[...trail, path].map((one) => relative(source, one)).join(' → ')}`)
      state.set(path, 'open')
      for (const other of importsOf(path)) visit(other, [...trail, path])
      state.set(path, 'done')
    }
    for (const path of files) visit(path, [])
  })

  it('has no barrel and no default export', () => {
    const wrong = files.filter((path) => /^export (\*|default\b)/m.test(readFileSync(path, 'utf8'))).map((path) => relative(source, path))
    expect(wrong).toEqual([])
  })

  it('keeps the core free of sockets, files, clocks and chance', () => {
    const forbidden = /from 'node:|Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|process\./
    const wrong = files.filter((path) => roomOf(path) === 'boot' && forbidden.test(readFileSync(path, 'utf8'))).map((path) => relative(source, path))
    expect(wrong).toEqual([])
  })
})
