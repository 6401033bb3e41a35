// A station room for tests: a depot in a temporary folder, records from plain objects, a clock that the test turns, events in a list.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseMac } from '../../src/boot/address.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import {
  indexRecords,
  type Profile,
  profileSchema,
  type Records,
  type Release,
  type Site,
  type Station,
  stationSchema,
} from '../../src/boot/record.ts'
import { createLoaderLibrary } from '../../src/ipxe/library.ts'
import type { Composer } from '../../src/overlay/composition.ts'
import { createAdditions } from '../../src/release/addition.ts'
import { createGate } from '../../src/station/answer.ts'
import { createDoor, type DoorOptions, type Packages, type StationLoaders } from '../../src/station/door.ts'
import { createFiles } from '../../src/station/file.ts'
import { createPresence } from '../../src/station/presence.ts'
import { createScripts } from '../../src/station/script.ts'
import type { DoorRequest, Opened } from '../../src/station/visit.ts'

export const base = 'http://10.9.0.1:8080'

/** The release that the test depot has. */
export const release: Release = {
  id: 'alpine/3.22.2/x86_64/lts',
  kernel: 'releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts',
  initramfs: 'releases/alpine/3.22.2/x86_64/lts/initramfs-lts',
  modloop: 'releases/alpine/3.22.2/x86_64/lts/modloop-lts',
  flavour: 'lts',
  arch: 'x86_64',
}

export type RoomInput = {
  readonly stations?: readonly object[]
  readonly profiles?: readonly object[]
  readonly releases?: readonly Release[]
  readonly site?: Partial<Site>
  readonly isBeingBuilt?: (name: string) => boolean
  readonly stationLoaders?: StationLoaders
  readonly packages?: Packages
  readonly composer?: Pick<Composer, 'compose'>
  readonly door?: Pick<DoorOptions, 'tickets' | 'overlayAccess' | 'onOverlay' | 'hasSecrets'>
}

export type Room = ReturnType<typeof createRoom>

/** Everything of the room, wired as the server does it. `put` writes into the depot and lets time go by, so that the change is seen. */
export function createRoom(input: RoomInput = {}) {
  const root = mkdtempSync(join(tmpdir(), 'bvc-room-'))
  const depot = join(root, 'depot')
  mkdirSync(depot)
  // Ahead of the disk's clock: files that were just written count as settled.
  let ahead = 10_000
  const now = (): number => Date.now() + ahead
  const events: BootEvent[] = []
  const emit = (event: BootEvent): void => void events.push(event)
  let records = indexed(input)
  const site: Site = {
    defaultProfile: 'default',
    unknown: 'wait',
    withoutOverlay: 'wait',
    foreignIpxe: 'script',
    loaders: new Map(),
    quirks: [],
    ...input.site,
  }
  const presence = createPresence({ now })
  const loaders = createLoaderLibrary({ depot, distributionFolders: [join(root, 'distribution')], now, rememberMs: 0 })
  const scripts = createScripts({ depot, emit, now })
  const files = createFiles({ depot, cacheBytes: 16 * 1024 * 1024, now })
  const additions = createAdditions({ depot, state: join(root, 'state'), now })
  const gate = createGate({
    depot,
    records: () => records,
    site: () => site,
    loaders,
    presence,
    scripts,
    now,
    emit,
    additions,
    ...(input.composer && { composer: input.composer }),
  })
  const door = createDoor({
    gate,
    scripts,
    files,
    loaders,
    presence,
    additions,
    emit,
    now,
    isBeingBuilt: input.isBeingBuilt ?? (() => false),
    ...(input.stationLoaders && { stationLoaders: input.stationLoaders }),
    ...(input.packages && { packages: input.packages }),
    ...input.door,
  })
  const pass = (ms = 2000): void => {
    ahead += ms
  }

  function put(path: string, content: string | Uint8Array = 'x'): void {
    const full = join(depot, path)
    mkdirSync(dirname(full), { recursive: true })
    writeFileSync(full, content)
    pass()
  }

  /** Opens a name as a station would, by HTTP unless told otherwise. */
  async function open(name: string, request: Partial<DoorRequest> = {}): Promise<Opened> {
    return door.open({ name, peer: '10.9.0.50', via: 'http', httpBase: base, ...request })
  }

  /** Opens, reads to the end, and says that it is out. */
  async function fetch(name: string, request: Partial<DoorRequest> = {}): Promise<string> {
    const { content, done } = await open(name, request)
    const bytes = await content.read(0, content.sizeBytes)
    content.close()
    done(content.sizeBytes)
    return Buffer.from(bytes).toString('latin1')
  }

  const setRecords = (next: RoomInput): void => {
    records = indexed(next)
  }
  const remove = (): void => rmSync(root, { recursive: true, force: true })
  return { root, depot, now, pass, events, site, presence, loaders, scripts, files, gate, door, put, open, fetch, setRecords, remove }
}

/** The files of the release, small. */
export function putRelease(room: Room): void {
  for (const path of [release.kernel, release.initramfs, release.modloop ?? '']) room.put(path, `bytes of ${path}`)
}

function indexed({ stations = [], profiles = [{ name: 'default', kind: 'alpine' }], releases = [release] }: RoomInput): Records {
  return indexRecords(
    stations.map((station): Station => stationSchema.parse(station)),
    profiles.map((profile): Profile => profileSchema.parse(profile)),
    releases,
  )
}

export const mac = parseMac('52:54:00:12:34:56')
export const otherMac = parseMac('52:54:00:ab:cd:ef')
