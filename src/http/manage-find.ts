// What the managing routes need and look up: stations by name or MAC, and the words for what is not there. Used by the files of manage.
import { findMac, type Mac } from '../boot/address.ts'
import { MissingError } from '../boot/error.ts'
import type { Records, Station } from '../boot/record.ts'
import type { RecordEditor } from '../store/edit.ts'
import type { NextBoots } from '../store/next.ts'
import type { MarkStore } from '../store/port.ts'
import type { RecordBook } from '../store/record.ts'

export type ManageDeps = {
  readonly records: Pick<RecordBook, 'current' | 'placeOf'>
  readonly editor: RecordEditor
  readonly next: NextBoots
  readonly marks: MarkStore
}

/** The record of that name or MAC, if there is one. */
export function tryFind(records: Records, text: string): Station | undefined {
  const mac = findMac(text)
  return mac ? records.stationByMac.get(mac) : records.stations.find(({ name }) => name === text)
}

/** The record of that name or MAC. Throws MissingError that says how to make one. */
export function findStation(records: Records, text: string): Station {
  const station = tryFind(records, text)
  if (station) return station
  const mac = findMac(text)
  throw new MissingError(
    'station',
    mac ? `${mac} has no record; "bivouac station add NAME --mac ${mac}" makes one` : `there is no station "${text.slice(0, 64)}"`,
  )
}

/** All MACs of a station, or the one that was given: an unknown station may be given an order too. */
export function macsOf(records: Records, text: string): readonly Mac[] {
  const station = tryFind(records, text)
  const mac = findMac(text)
  if (station) return station.macs
  if (mac) return [mac]
  throw new MissingError('station', `"${text.slice(0, 64)}" is neither a MAC address nor the name of a station`)
}

/** What there is in place of it. */
export const sayNoProfile = (records: Records, name: string): string =>
  `there is no profile "${name.slice(0, 64)}" (there are: ${[...records.profiles.keys()].sort().join(', ')})`
