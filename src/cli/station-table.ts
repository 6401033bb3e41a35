// Many stations from a file: YAML, JSON or CSV. Used by `bivouac station import`; it checks no record, the editor does.
import { parse } from 'yaml'
import { InputError } from '../boot/error.ts'

/** A list of records as YAML or JSON, a table by name, or CSV. Throws InputError. */
export function readStations(text: string, file: string): object[] {
  if (file.endsWith('.csv') || /^name,/.test(text)) return readCsv(text)
  const value = parse(text) as unknown
  if (Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null)) return value as object[]
  const table = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  if (Array.isArray(table?.stations)) return table.stations as object[]
  if (table && Object.values(table).every((one) => typeof one === 'object' && one !== null))
    return Object.entries(table).map(([name, one]) => ({ name, ...(one as object) }))
  throw new InputError('import', 'a list of stations, or a block of them by name, or CSV with a header line', { file })
}

function readCsv(text: string): object[] {
  const [header = '', ...lines] = text.split(/\r?\n/).filter((line) => line.trim() && !line.startsWith('#'))
  const keys = header.split(',').map((key) => key.trim())
  return lines.map((line, index) => {
    const cells = line.split(',').map((cell) => cell.trim())
    if (cells.length !== keys.length) throw new InputError('import', `line ${index + 2} has ${cells.length} cells, the header ${keys.length}`)
    const station: Record<string, unknown> = {}
    for (const [at, key] of keys.entries()) if (cells[at]) putCell(station, key, cells[at] as string)
    return station
  })
}

function putCell(station: Record<string, unknown>, key: string, cell: string): void {
  if (key.startsWith('label.')) station.labels = { ...(station.labels as object), [key.slice(6)]: cell }
  else if (key === 'mac' || key === 'macs') station.macs = cell.split(/[ ;|]+/)
  else if (key === 'layers' || key === 'arguments') station[key] = cell.split(/[ ;|]+/)
  else station[key] = cell
}
