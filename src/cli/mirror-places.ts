// Which part of the mirror a command means, by its flags; and the worlds of all stations. Used by the mirror and apk commands.
import type { Command } from 'commander'
import { MissingError } from '../boot/error.ts'
import type { Config } from '../config.ts'
import { listPlaces, type Place, privateFolder, snapshotFolder } from '../mirror/place.ts'
import { createLocalGate } from '../server/local.ts'
import { listWorlds } from '../server/mirror.ts'

export type PlaceOptions = { branch?: string; repositories?: string; arch?: string; snapshot?: string }

/** The flags that choose a part. */
export const placeFlags = (command: Command): Command =>
  command
    .option('--branch <branch>', 'only this branch, such as v3.22, or "private"')
    .option('--repositories <names>', 'only these repositories, separated by commas')
    .option('--arch <arch>', 'only this architecture')
    .option('--snapshot <name>', 'this snapshot')

/** The folders that the flags choose. Without `--snapshot`, snapshots belong to `all` and not to `branches`. */
export async function choosePlaces(
  root: string,
  { branch, repositories, arch, snapshot }: PlaceOptions,
  among: 'all' | 'branches',
): Promise<Place[]> {
  const wanted = repositories?.split(',')
  const all = await listPlaces(root)
  return all.filter((place) => {
    const parts = place.repository.split('/')
    const isFrozen = parts[0] === snapshotFolder
    const [ownBranch, name] = isFrozen ? parts.slice(2) : parts
    if (snapshot !== undefined ? !isFrozen || parts[1] !== snapshot : isFrozen && (among === 'branches' || branch !== undefined)) return false
    if (among === 'branches' && branch === undefined && ownBranch === privateFolder && snapshot === undefined && wanted === undefined) return true
    return (branch === undefined || branch === ownBranch) && (arch === undefined || arch === place.arch) && (!wanted || wanted.includes(name ?? ''))
  })
}

/** The words of `etc/apk/world` of every station's overlay, as it would get it now. Stations without an overlay have none. */
export async function listStationWorlds(config: Config, only?: string): Promise<string[][]> {
  const { desk, records, close } = await createLocalGate(config)
  try {
    const stations = records.current().stations.filter(({ name }) => only === undefined || name === only)
    if (only !== undefined && !stations.length) throw new MissingError('station', `there is no station "${only}"`)
    const worlds = await listWorlds(stations, desk)
    if (only !== undefined && !worlds.length) throw new MissingError('overlay-missing', `${only} has no overlay`)
    return worlds
  } finally {
    close()
  }
}
