// The files that all servers serve alike, and the depot that Bivouac wants around them. Made once per run in the folder of the stage.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { seededRandom } from '../support/random.ts'

export const romBytes = 70_000
/** snponly.efi of today is about this large. */
export const loaderBytes = 600_000
export const tenMb = 10_000_000
export const bootFileBytes = 30_000_000
export const bigBytes = 100_000_000
export const overlayBytes = 50_000

export type Depot = { readonly folder: string; readonly romFile: string; readonly loaderFile: string; readonly tenMbFile: string }

/** Stations with a record: those of http-script and of the storms. */
const stationRecords = 10_000

const profileText = `kind: alpine
kernel: data/vmlinuz-lts
initramfs: data/initramfs-lts
modloop: data/modloop-lts
`

/** MACs in the form of URLs: `52-54-00-00-00-00` and up. */
export const scriptMacs = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => `52-54-00-00-${(at >> 8).toString(16).padStart(2, '0')}-${(at & 255).toString(16).padStart(2, '0')}`)

/** Bytes that do not compress, the same in each run. */
function noise(sizeBytes: number, seed: number): Buffer {
  const random = seededRandom(seed)
  const bytes = Buffer.allocUnsafe(sizeBytes)
  const piece = Buffer.from(Array.from({ length: Math.min(sizeBytes, 1 << 20) }, () => Math.floor(random() * 256)))
  for (let at = 0; at < sizeBytes; at += piece.length) piece.copy(bytes, at)
  return bytes
}

export function makeDepot(parent: string): Depot {
  const folder = join(parent, 'depot')
  for (const name of ['configs', 'data', 'ipxe', 'profiles', 'stations']) mkdirSync(join(folder, name), { recursive: true })
  const write = (name: string, bytes: Buffer) => {
    writeFileSync(join(folder, name), bytes)
    return name
  }
  write('configs/default.tar.gz', makeOverlay())
  for (const name of ['vmlinuz-lts', 'initramfs-lts', 'modloop-lts']) write(`data/${name}`, noise(20_000, 7))
  write('ipxe/undionly.kpxe', noise(romBytes, 8))
  write('hello', Buffer.from('hello\n'))
  write('profiles/bench.yaml', Buffer.from(profileText))
  for (const mac of scriptMacs(stationRecords)) write(`stations/s${mac}.yaml`, Buffer.from(`mac: ${mac}\n`))
  write('data/boot30.bin', noise(bootFileBytes, 3))
  write('data/big.bin', noise(bigBytes, 4))
  const files = { romFile: write('data/rom.bin', noise(romBytes, 1)), loaderFile: write('data/loader.bin', noise(loaderBytes, 2)) }
  return { folder, ...files, tenMbFile: write('data/ten.bin', noise(tenMb, 5)) }
}

/** A small but real apkovl: a gzip of a tar with one file of noise in it. */
function makeOverlay(): Buffer {
  const body = noise(overlayBytes - 400, 6)
  const header = Buffer.alloc(512)
  header.write('etc/noise', 0, 'latin1')
  header.write('0000644\0', 100, 'latin1')
  header.write('0000000\0', 108, 'latin1')
  header.write('0000000\0', 116, 'latin1')
  header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  header.write('00000000000\0', 136, 'latin1')
  header.write('        0', 148, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return gzipSync(Buffer.concat([header, body, Buffer.alloc(1024 + ((512 - (body.length % 512)) % 512))]), { level: 0 })
}
