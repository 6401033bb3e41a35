// Writes small ISO 9660 images with Rock Ridge names, as far as a reader needs them. For tests.

export type IsoTree = { readonly [name: string]: Uint8Array | IsoTree }

const sectorBytes = 2048
const isFile = (node: Uint8Array | IsoTree): node is Uint8Array => node instanceof Uint8Array

type Placed = { readonly name: string; readonly sector: number; readonly sizeBytes: number; readonly isFolder: boolean }

/** The image. Files lie behind the folders, each from a sector of its own. */
export function makeIso(tree: IsoTree): Buffer {
  const sectors: Buffer[] = []
  let next = 18
  const allocate = (bytes: number): number => {
    const sector = next
    next += Math.max(1, Math.ceil(bytes / sectorBytes))
    return sector
  }
  const put = (sector: number, bytes: Uint8Array): void => {
    for (let at = 0; at === 0 || at < bytes.length; at += sectorBytes) {
      const piece = Buffer.alloc(sectorBytes)
      piece.set(bytes.subarray(at, at + sectorBytes))
      sectors[sector + at / sectorBytes] = piece
    }
  }
  const place = (folder: IsoTree, own: Placed, parent: Placed): void => {
    const children = Object.entries(folder).map(([name, node]): Placed => {
      const sizeBytes = isFile(node) ? node.length : folderBytes(node)
      return { name, sector: allocate(sizeBytes), sizeBytes, isFolder: !isFile(node) }
    })
    put(own.sector, encodeFolder([{ ...own, name: '\0' }, { ...parent, name: '\x01' }, ...children], own.sizeBytes))
    for (const child of children) {
      const node = folder[child.name] as Uint8Array | IsoTree
      if (isFile(node)) put(child.sector, node)
      else place(node, child, own)
    }
  }
  const sizeBytes = folderBytes(tree)
  const root: Placed = { name: '\0', sector: allocate(sizeBytes), sizeBytes, isFolder: true }
  place(tree, root, root)
  const volume = Buffer.alloc(sectorBytes)
  volume.write('\x01CD001\x01', 'latin1')
  volume.writeUInt16LE(sectorBytes, 128)
  encodeRecord(root).copy(volume, 156)
  sectors[16] = volume
  const end = Buffer.alloc(sectorBytes)
  end.write('\xffCD001\x01', 'latin1')
  sectors[17] = end
  return Buffer.concat(Array.from({ length: next }, (_, at) => sectors[at] ?? Buffer.alloc(sectorBytes)))
}

/** Each record in a sector by itself would do; they are packed, and no record crosses a sector. */
function encodeFolder(entries: readonly Placed[], sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  let at = 0
  for (const record of entries.map(encodeRecord)) {
    if ((at % sectorBytes) + record.length > sectorBytes) at = Math.ceil(at / sectorBytes) * sectorBytes
    record.copy(bytes, at)
    at += record.length
  }
  return bytes
}

function folderBytes(folder: IsoTree): number {
  const records = Object.keys(folder).map((name) => encodeRecord({ name, sector: 0, sizeBytes: 0, isFolder: false }).length)
  const sum = records.reduce((all, length) => all + length, 100)
  // Half a sector may be lost at each end.
  return Math.ceil((sum * 1.2) / sectorBytes) * sectorBytes
}

function encodeRecord({ name, sector, sizeBytes, isFolder }: Placed): Buffer {
  const isSpecial = name === '\0' || name === '\x01'
  const plain = isSpecial
    ? name
    : `${name
        .replace(/[^A-Za-z0-9]/g, '_')
        .toUpperCase()
        .slice(0, 8)}.;1`
  const rock = isSpecial ? Buffer.alloc(0) : encodeName(name)
  const begin = 33 + plain.length + (plain.length % 2 === 0 ? 1 : 0)
  const record = Buffer.alloc(begin + rock.length + ((begin + rock.length) % 2))
  record[0] = record.length
  record.writeUInt32LE(sector, 2)
  record.writeUInt32LE(sizeBytes, 10)
  record[25] = isFolder ? 2 : 0
  record[32] = plain.length
  record.write(plain, 33, 'latin1')
  rock.copy(record, begin)
  return record
}

const encodeName = (name: string): Buffer => Buffer.concat([Buffer.from('NM'), Buffer.of(5 + name.length, 1, 0), Buffer.from(name, 'latin1')])
