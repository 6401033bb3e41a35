// Small worlds for tests of the core: a site, records, a client, each with what the test says and usual values for the rest.
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import type { Client } from '../../src/boot/client.ts'
import type { Surroundings } from '../../src/boot/decide.ts'
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

export const testMac = '52:54:00:00:00:01' as Mac

export const makeSite = (more: Partial<Site> = {}): Site => ({
  defaultProfile: 'default',
  unknown: 'wait',
  withoutOverlay: 'wait',
  foreignIpxe: 'script',
  loaders: new Map(),
  quirks: [],
  ...more,
})

export const makeStation = (more: object = {}): Station => stationSchema.parse({ name: 'kiosk', macs: [testMac], ...more })

/** Profiles by name; what is left out of each is the schema's default. */
export const makeProfiles = (profiles: Record<string, object>): Profile[] =>
  Object.entries(profiles).map(([name, more]) => profileSchema.parse({ name, ...more }))

export const makeRelease = (id: string, flavour = 'lts'): Release => {
  const arch = id.split('/').find((part) => ['x86_64', 'x86', 'aarch64', 'armv7', 'armhf', 'riscv64', 'loongarch64'].includes(part))
  const folder = `releases/${id}`
  return {
    id,
    kernel: `${folder}/vmlinuz-${flavour}`,
    initramfs: `${folder}/initramfs-${flavour}`,
    modloop: `${folder}/modloop-${flavour}`,
    flavour,
    ...(arch && { arch }),
  }
}

export const makeRecords = ({
  stations = [],
  profiles = {},
  releases = [],
}: {
  stations?: Station[]
  profiles?: Record<string, object>
  releases?: Release[]
} = {}): Records => indexRecords(stations, makeProfiles(profiles), releases)

export const makeClient = (more: Partial<Client> = {}): Client => ({
  mac: testMac,
  stage: 'firmware',
  archs: [0],
  isHttpBoot: false,
  speaksHttp: false,
  arrival: { network: 'lab', mode: 'server', serverAddress: '10.9.0.1' as Ipv4, httpBase: 'http://10.9.0.1:8080' },
  ...more,
})

export const makeSurroundings = (more: Partial<Surroundings> = {}): Surroundings => ({
  site: makeSite(),
  records: makeRecords({ profiles: { default: { kind: 'local' } } }),
  hasLoader: () => true,
  sinceLoaderMs: undefined,
  ...more,
})
