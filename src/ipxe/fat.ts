// A FAT file system from files, byte for byte the same each time. Used by media for UEFI boot partitions (and later for media that boot without a network).
// FAT16 or FAT32 by size; long names where a name is no 8.3 one. Layout: Microsoft FAT specification 1.03 (2000).
import { InputError } from '../boot/error.ts'

/** Path with `/`, `EFI/BOOT/BOOTX64.EFI`; folders come by themselves. */
export type FatFile = { readonly path: string; readonly bytes: Uint8Array }

export type FatOptions = {
  /** Seconds since 1970 for all dates, and the volume's serial number. */
  readonly epoch: number
  readonly serial: number
  /** Up to 11 characters, upper case. */
  readonly label: string
  /** Sectors in front of the file system on the disk. */
  readonly hiddenSectors?: number
  /** At least so much, for adding files by hand. */
  readonly minimumBytes?: number
}

const sectorBytes = 512
const rootEntries = 512

type Node = { readonly name: string; readonly children?: Map<string, Node>; readonly bytes?: Uint8Array; cluster: number }
type Geometry = {
  readonly isFat32: boolean
  readonly clusterSectors: number
  readonly clusters: number
  readonly fatSectors: number
  readonly reserved: number
  readonly rootSectors: number
  readonly totalSectors: number
}

/** @throws InputError `fat-name` for a name that FAT cannot hold, `fat-size` over 2 GB. */
export function renderFat(files: readonly FatFile[], options: FatOptions): Uint8Array {
  const root: Node = { name: '', children: new Map(), cluster: 0 }
  for (const file of files) insert(root, file)
  const geometry = planGeometry(root, options.minimumBytes ?? 0)
  const image = new Uint8Array(geometry.totalSectors * sectorBytes)
  const writer = createWriter(image, geometry, options)
  writer.folder(root, 0)
  writer.finish()
  return image
}

function insert(root: Node, { path, bytes }: FatFile): void {
  const names = path.split('/')
  let folder = root
  for (const [index, name] of names.entries()) {
    if (!/^[^\x00-\x1f"*/:<>?\\|]{1,100}$/.test(name) || /^\.+$|[. ]$/.test(name))
      throw new InputError('fat-name', `${JSON.stringify(path)} cannot be a name on FAT`)
    const key = name.toUpperCase()
    const known = folder.children?.get(key)
    const isLast = index === names.length - 1
    if (known && (isLast || !known.children)) throw new InputError('fat-name', `${path} is there twice`)
    const node: Node = known ?? (isLast ? { name, bytes, cluster: 0 } : { name, children: new Map(), cluster: 0 })
    if (!known) folder.children?.set(key, node)
    folder = node
  }
}

const slotsOf = (name: string): number => (isShort(name) ? 1 : 1 + Math.ceil(name.length / 13))
const isShort = (name: string): boolean => /^[A-Z0-9_~!#$%&'()@^`{}-]{1,8}(\.[A-Z0-9_~-]{1,3})?$/.test(name)
const childrenOf = (node: Node): Node[] => [...(node.children?.values() ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1))
const folderBytes = (node: Node, extra: number): number => 32 * (extra + childrenOf(node).reduce((sum, child) => sum + slotsOf(child.name), 0))

function planGeometry(root: Node, minimumBytes: number): Geometry {
  const sizes: number[] = []
  const collect = (node: Node, isRoot: boolean): void => {
    if (node.bytes) sizes.push(node.bytes.length)
    else sizes.push(folderBytes(node, isRoot ? 1 : 2))
    for (const child of childrenOf(node)) collect(child, false)
  }
  collect(root, true)
  const sum = sizes.reduce((a, b) => a + b, 0)
  // FAT16 has 4085 to 65524 clusters: small disks get small clusters and free room, large ones become FAT32.
  const isFat32 = sum > 120 << 20 || minimumBytes > 120 << 20
  const clusterSectors = isFat32 ? 8 : sum > 24 << 20 || minimumBytes > 24 << 20 ? 4 : 1
  const clusterBytes = clusterSectors * sectorBytes
  const needed = sizes.reduce((count, size) => count + Math.max(1, Math.ceil(size / clusterBytes)), 0)
  const clusters = Math.max(needed + 64, Math.ceil(minimumBytes / clusterBytes), isFat32 ? 66_000 : 4200)
  if (clusters * clusterBytes > 2 ** 31 || (!isFat32 && clusters > 65_000))
    throw new InputError('fat-size', 'the files do not fit into one FAT partition of 2 GB')
  const reserved = isFat32 ? 32 : 1
  const fatSectors = Math.ceil(((clusters + 2) * (isFat32 ? 4 : 2)) / sectorBytes)
  const rootSectors = isFat32 ? 0 : (rootEntries * 32) / sectorBytes
  return {
    isFat32,
    clusterSectors,
    clusters,
    fatSectors,
    reserved,
    rootSectors,
    totalSectors: reserved + 2 * fatSectors + rootSectors + clusters * clusterSectors,
  }
}

function createWriter(
  image: Uint8Array,
  geometry: Geometry,
  options: FatOptions,
): { folder: (node: Node, parent: number) => void; finish: () => void } {
  const { isFat32, clusterSectors, fatSectors, reserved, rootSectors } = geometry
  const view = new DataView(image.buffer)
  const dataStart = (reserved + 2 * fatSectors + rootSectors) * sectorBytes
  const clusterBytes = clusterSectors * sectorBytes
  let nextCluster = 2
  const setFat = (cluster: number, value: number): void => {
    for (const copy of [0, 1]) {
      const at = (reserved + copy * fatSectors) * sectorBytes + cluster * (isFat32 ? 4 : 2)
      if (isFat32) view.setUint32(at, value & 0x0fffffff, true)
      else view.setUint16(at, value & 0xffff, true)
    }
  }
  /** A chain of clusters in a row; answers the first. */
  const allocate = (sizeBytes: number): number => {
    const first = nextCluster
    const count = Math.max(1, Math.ceil(sizeBytes / clusterBytes))
    for (let index = 0; index < count; index++) setFat(first + index, index === count - 1 ? 0x0fffffff : first + index + 1)
    nextCluster += count
    return first
  }
  const offsetOf = (cluster: number): number => dataStart + (cluster - 2) * clusterBytes

  const folder = (node: Node, parent: number): void => {
    const isRoot = node.name === ''
    if (isRoot && !isFat32 && folderBytes(node, 1) > rootEntries * 32) throw new InputError('fat-size', 'too many files in the first folder')
    if (!isRoot || isFat32) node.cluster = allocate(folderBytes(node, isRoot ? 1 : 2))
    let at = isRoot && !isFat32 ? (reserved + 2 * fatSectors) * sectorBytes : offsetOf(node.cluster)
    const put = (entry: Uint8Array): void => {
      image.set(entry, at)
      at += 32
    }
    if (isRoot) put(shortEntry(options.label.padEnd(11).slice(0, 11), 0x08, 0, 0, options.epoch))
    else {
      put(shortEntry('.          ', 0x10, node.cluster, 0, options.epoch))
      put(shortEntry('..         ', 0x10, parent, 0, options.epoch))
    }
    const taken = new Set<string>()
    for (const child of childrenOf(node)) {
      if (child.bytes && child.bytes.length > 0) {
        child.cluster = allocate(child.bytes.length)
        image.set(child.bytes, offsetOf(child.cluster))
      } else if (child.children) folder(child, isRoot ? 0 : node.cluster)
      const short = shortName(child.name, taken)
      if (!isShort(child.name)) for (const entry of longEntries(child.name, short)) put(entry)
      put(shortEntry(short, child.children ? 0x10 : 0x20, child.cluster, child.bytes?.length ?? 0, options.epoch))
    }
  }

  const finish = (): void => {
    setFat(0, 0x0ffffff8)
    setFat(1, 0x0fffffff)
    writeBootSector(view, image, geometry, options)
  }
  return { folder, finish }
}

function writeBootSector(
  view: DataView,
  image: Uint8Array,
  { isFat32, clusterSectors, clusters, fatSectors, reserved, totalSectors }: Geometry,
  { label, serial, hiddenSectors = 0 }: FatOptions,
): void {
  const text = (at: number, value: string): void => image.set(Buffer.from(value, 'latin1'), at)
  image.set([0xeb, isFat32 ? 0x58 : 0x3c, 0x90])
  text(3, 'BIVOUAC ')
  view.setUint16(11, sectorBytes, true)
  view.setUint8(13, clusterSectors)
  view.setUint16(14, reserved, true)
  view.setUint8(16, 2)
  view.setUint16(17, isFat32 ? 0 : rootEntries, true)
  if (totalSectors < 0x10000 && !isFat32) view.setUint16(19, totalSectors, true)
  else view.setUint32(32, totalSectors, true)
  view.setUint8(21, 0xf8)
  view.setUint16(22, isFat32 ? 0 : fatSectors, true)
  view.setUint16(24, 32, true)
  view.setUint16(26, 64, true)
  view.setUint32(28, hiddenSectors, true)
  const tail = isFat32 ? 64 : 36
  if (isFat32) {
    view.setUint32(36, fatSectors, true)
    view.setUint32(44, 2, true)
    view.setUint16(48, 1, true)
    view.setUint16(50, 6, true)
  }
  view.setUint8(tail, 0x80)
  view.setUint8(tail + 2, 0x29)
  view.setUint32(tail + 3, serial, true)
  text(tail + 7, label.padEnd(11).slice(0, 11))
  text(tail + 18, isFat32 ? 'FAT32   ' : 'FAT16   ')
  image.set([0x55, 0xaa], 510)
  if (!isFat32) return
  view.setUint32(512, 0x41615252, true)
  view.setUint32(512 + 484, 0x61417272, true)
  view.setUint32(512 + 488, 0xffffffff, true)
  view.setUint32(512 + 492, 0xffffffff, true)
  view.setUint32(512 + 508, 0xaa550000, true)
  image.copyWithin(6 * sectorBytes, 0, 2 * sectorBytes)
  if (clusters < 65_525) throw new Error('too few clusters for FAT32')
}

/** 8.3 with a number where it must be told apart; unique in its folder. */
function shortName(name: string, taken: Set<string>): string {
  const dot = name.lastIndexOf('.')
  const plain = (text: string): string => text.toUpperCase().replace(/[^A-Z0-9_-]/g, '_')
  const stem = plain(dot > 0 ? name.slice(0, dot) : name)
  const ending = (dot > 0 ? plain(name.slice(dot + 1)) : '').slice(0, 3).padEnd(3)
  if (isShort(name) && !taken.has(name)) {
    const [base = '', extension = ''] = name.split('.')
    const short = base.padEnd(8) + extension.padEnd(3)
    taken.add(short)
    return short
  }
  for (let number = 1; ; number++) {
    const mark = `~${number}`
    const short = (stem.slice(0, 8 - mark.length) + mark).padEnd(8) + ending
    if (taken.has(short)) continue
    taken.add(short)
    return short
  }
}

function shortEntry(name: string, attributes: number, cluster: number, sizeBytes: number, epoch: number): Uint8Array {
  const entry = new Uint8Array(32)
  const view = new DataView(entry.buffer)
  entry.set(Buffer.from(name, 'latin1'))
  const date = new Date(Math.max(epoch, 315_532_800) * 1000)
  const day = ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate()
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1)
  entry[11] = attributes
  view.setUint16(14, time, true)
  view.setUint16(16, day, true)
  view.setUint16(18, day, true)
  view.setUint16(20, cluster >>> 16, true)
  view.setUint16(22, time, true)
  view.setUint16(24, day, true)
  view.setUint16(26, cluster & 0xffff, true)
  view.setUint32(28, sizeBytes, true)
  return entry
}

/** The long name in pieces of 13, last piece first, each with the check sum of the short one. */
function longEntries(name: string, short: string): Uint8Array[] {
  let sum = 0
  for (const byte of Buffer.from(short, 'latin1')) sum = (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff
  const count = Math.ceil(name.length / 13)
  return Array.from({ length: count }, (_, index) => {
    const number = count - index
    const entry = new Uint8Array(32)
    const view = new DataView(entry.buffer)
    entry[0] = number | (index === 0 ? 0x40 : 0)
    entry[11] = 0x0f
    entry[13] = sum
    for (let place = 0; place < 13; place++) {
      const at = (number - 1) * 13 + place
      const unit = at < name.length ? name.charCodeAt(at) : at === name.length ? 0 : 0xffff
      view.setUint16(place < 5 ? 1 + place * 2 : place < 11 ? 14 + (place - 5) * 2 : 28 + (place - 11) * 2, unit, true)
    }
    return entry
  })
}
