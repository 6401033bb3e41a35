// Single records → the records in force, and what is wrong between them: a name or a MAC that two of them claim. Used by store/record. Pure.
import type { Mac } from '../boot/address.ts'
import { indexRecords, type Profile, type Records, type Station } from '../boot/record.ts'
import type { Reservation, ReservationPlace } from '../boot/reservation.ts'
import { mergeReservations } from '../boot/reserve.ts'
import type { RecordFile } from './folder.ts'
import type { Finding } from './mistake.ts'
import { placeIn } from './record-file.ts'
import type { ReleaseScan } from './release.ts'

type InForce<T> = RecordFile<T> & { readonly record: T }

export type Assembled = {
  readonly records: Records
  readonly problems: readonly Finding[]
  readonly stationFiles: ReadonlyMap<string, InForce<Station>>
  readonly profileFiles: ReadonlyMap<string, InForce<Profile>>
}

/** Where two claim a name, the first file keeps it; where two stations claim a MAC, the first by name keeps it and the other goes without. */
export function assembleRecords(
  stationFiles: readonly InForce<Station>[],
  profileFiles: readonly InForce<Profile>[],
  scan: ReleaseScan,
  borrowed?: { readonly lines: readonly Reservation[]; readonly places: readonly ReservationPlace[] },
): Assembled {
  const stations = keepFirst(stationFiles)
  const profiles = keepFirst(profileFiles)
  const macs = shareMacs([...stations.byName.values()])
  const mistakes = scan.mistakes.map((mistake) => ({ ...mistake, severity: 'error' as const }))
  const merged = borrowed && mergeReservations(macs.stations, borrowed.lines, borrowed.places)
  const conflicts = (merged?.conflicts ?? []).map(
    ({ code, message, line: { file, line } }): Finding => ({ code, message, severity: 'warning', file, line }),
  )
  return {
    records: indexRecords(
      [...macs.stations, ...(merged?.stations ?? [])],
      [...profiles.byName.values()].map(({ record }) => record),
      scan.releases,
      merged && { reservations: merged.reservations, stationSources: merged.stationSources },
    ),
    problems: [...stations.problems, ...profiles.problems, ...macs.problems, ...mistakes, ...conflicts],
    stationFiles: stations.byName,
    profileFiles: profiles.byName,
  }
}

function keepFirst<T extends { readonly name: string }>(
  files: readonly InForce<T>[],
): { byName: ReadonlyMap<string, InForce<T>>; problems: Finding[] } {
  const byName = new Map<string, InForce<T>>()
  const problems: Finding[] = []
  for (const file of files) {
    const holder = byName.get(file.record.name)
    if (holder) problems.push(error('name-twice', file, 'name', `${file.record.name} is also the name in ${holder.file}, which keeps it`))
    else byName.set(file.record.name, file)
  }
  return { byName, problems }
}

function shareMacs(files: readonly InForce<Station>[]): { stations: Station[]; problems: Finding[] } {
  const holders = new Map<Mac, string>()
  const problems: Finding[] = []
  const stations: Station[] = []
  for (const file of [...files].sort((one, other) => (one.record.name < other.record.name ? -1 : 1))) {
    const { record } = file
    const free = record.macs.filter((mac) => !holders.has(mac))
    for (const mac of free) holders.set(mac, record.name)
    for (const mac of record.macs.filter((one) => !free.includes(one))) {
      problems.push(error('mac-twice', file, 'macs', `${mac} is also in station ${holders.get(mac)}, which keeps it`))
    }
    if (free.length) stations.push(free.length === record.macs.length ? record : { ...record, macs: free })
  }
  return { stations, problems }
}

const error = (code: string, { file, text }: InForce<unknown>, key: string, message: string): Finding => ({
  code,
  message,
  severity: 'error',
  ...placeIn(text, file, [key]),
})
