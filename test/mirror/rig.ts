// A small branch upstream and an empty mirror for the room's tests: three repositories' worth of packages, signed, behind a test upstream with faults.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import type { SyncOptions, SyncPart } from '../../src/mirror/sync.ts'
import { createUpstream } from '../../src/upstream/client.ts'
import { makeApkKey, makeIndex, makePackage, type TestPackage, trustKey } from '../support/apk.ts'
import { seededRandom } from '../support/random.ts'
import { makeScratch } from '../support/scratch.ts'
import { startTestUpstream, type TestUpstream, type TestUpstreamOptions } from '../support/upstream.ts'

export const key = makeApkKey()
export const main = 'v3.22/main/x86_64'
export const community = 'v3.22/community/x86_64'

const random = seededRandom(9)
// Not to be made smaller by gzip.
const big = Uint8Array.from({ length: 60_000 }, () => Math.floor(random() * 256))

/** musl ← busybox ← alpine-base, and openssh; in community nginx and htop. */
export const mainPackages = (version = '1.0-r0'): TestPackage[] => [
  makePackage({ name: 'musl', version, provides: ['so:libc.musl-x86_64.so.1=1'], key }),
  makePackage({ name: 'busybox', version, depends: ['so:libc.musl-x86_64.so.1'], files: { 'bin/busybox': big }, key }),
  makePackage({ name: 'alpine-base', version, depends: ['busybox'], key }),
  makePackage({ name: 'openssh', version, depends: ['musl'], key }),
]
export const communityPackages = (version = '1.0-r0'): TestPackage[] => [
  makePackage({ name: 'nginx', version, depends: ['so:libc.musl-x86_64.so.1', 'openssh'], key }),
  makePackage({ name: 'htop', version, key }),
]

/** Puts a repository's packages and its signed index where the upstream serves them. */
export function publish(upstream: TestUpstream, folder: string, packages: readonly TestPackage[], signer = key): void {
  for (const { fileName, bytes } of packages) upstream.put(`${folder}/${fileName}`, bytes)
  upstream.put(`${folder}/APKINDEX.tar.gz`, makeIndex(packages, signer))
}

export type Rig = {
  readonly root: string
  readonly upstream: TestUpstream
  readonly events: BootEvent[]
  readonly options: SyncOptions
  readonly clock: { at: number }
  readonly read: (path: string) => Uint8Array
}

export async function makeRig(kind: TestUpstreamOptions = {}): Promise<Rig> {
  const root = join(await makeScratch(), 'apk')
  const upstream = await startTestUpstream(kind)
  publish(upstream, main, mainPackages())
  publish(upstream, community, communityPackages())
  trustKey(root, key)
  const client = createUpstream({ sleep: async () => undefined, retries: 0, headersMs: 5_000, stallMs: 5_000 })
  onTestFinished(() => client.close())
  const events: BootEvent[] = []
  const clock = { at: 1_700_000_000_000 }
  const options: SyncOptions = {
    root,
    upstreamUrl: upstream.url,
    upstream: client,
    now: () => clock.at,
    emit: (event) => void events.push(event),
    sleep: async () => undefined,
  }
  return { root, upstream, events, options, clock, read: (path) => new Uint8Array(readFileSync(join(root, path))) }
}

/** Everything of both repositories. */
export const whole: SyncPart = {
  name: 'all',
  branch: 'v3.22',
  arch: 'x86_64',
  repositories: ['main', 'community'],
  whole: new Set(['main', 'community']),
  worlds: [],
}
/** What these worlds bring. */
export const partial = (...worlds: string[][]): SyncPart => ({ ...whole, name: 'some', whole: new Set(), worlds })
