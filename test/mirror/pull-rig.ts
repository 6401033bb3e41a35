// A mirror that pulls through, over a real upstream of the test's, with a clock that the test turns.
import { mkdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { Content } from '../../src/boot/content.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import { readTrustedKeys } from '../../src/mirror/key.ts'
import { createPull, type Pull, type PullOptions } from '../../src/mirror/pull.ts'
import { createFiles } from '../../src/station/file.ts'
import { createUpstream, type UpstreamOptions } from '../../src/upstream/client.ts'
import { makeApkKey, makePackage, makeRepository, type TestPackage, trustKey } from '../support/apk.ts'
import { makeScratch } from '../support/scratch.ts'
import { startTestUpstream, type TestUpstream } from '../support/upstream.ts'

export const folder = 'v3.22/main/x86_64'
export const indexPath = `${folder}/APKINDEX.tar.gz`
export const key = makeApkKey()

/** As expect.poll, with patience for a disk that others keep busy. */
export const eventually = <T>(what: () => T) => expect.poll(what, { timeout: 15_000 })

export type PullRig = {
  readonly server: TestUpstream
  readonly root: string
  readonly state: string
  readonly events: BootEvent[]
  readonly clock: { now: number }
  readonly pull: Pull
  /** The same mirror after a restart. */
  readonly again: (more?: Partial<PullOptions>) => Promise<Pull>
  /** Puts packages and their signed index at the upstream. */
  readonly publish: (packages: readonly TestPackage[], signer?: typeof key) => void
  readonly get: (path: string, pull?: Pull) => Promise<Buffer>
  /** Files in the folder of the mirror, drafts too. */
  readonly list: () => Promise<string[]>
  readonly kinds: () => string[]
}

export type RigOptions = Partial<PullOptions> & {
  readonly packages?: readonly TestPackage[]
  readonly withoutKeys?: boolean
  readonly client?: UpstreamOptions
  readonly server?: TestUpstream
}

export async function makePullRig({ packages = [], withoutKeys = false, client = {}, server: given, ...more }: RigOptions = {}): Promise<PullRig> {
  const scratch = await makeScratch()
  const [root, state] = [join(scratch, 'apk'), join(scratch, 'state')]
  mkdirSync(root)
  if (!withoutKeys) trustKey(root, key)
  const server = given ?? (await startTestUpstream())
  const events: BootEvent[] = []
  const clock = { now: Date.UTC(2026, 10, 21) }
  const again = async (other: Partial<PullOptions> = {}): Promise<Pull> => {
    const upstream = createUpstream({ sleep: async () => undefined, headersMs: 2_000, stallMs: 2_000, retries: 0, ...client })
    const files = createFiles({ depot: root, cacheBytes: 16 * 1024 * 1024 })
    const pull = await createPull({
      root,
      state,
      upstream,
      upstreamUrl: server.url,
      keys: () => readTrustedKeys(root),
      openStored: files.open,
      indexMinutes: 10,
      maxBytes: 1024 ** 3,
      now: () => clock.now,
      emit: (event) => events.push(event),
      patienceMs: 10_000,
      ...more,
      ...other,
    })
    onTestFinished(() => {
      server.release()
      return pull.close()
    })
    return pull
  }
  const publish = (list: readonly TestPackage[], signer = key): void => {
    for (const [name, bytes] of makeRepository(list, signer)) server.put(`${folder}/${name}`, bytes)
  }
  publish(packages)
  const pull = await again()
  return {
    server,
    root,
    state,
    events,
    clock,
    pull,
    again,
    publish,
    get: async (path, from = pull) => readContent(await from.open(path)),
    list: async () => (await readdir(join(root, folder)).catch(() => [])).sort(),
    kinds: () => events.map(({ kind }) => kind),
  }
}

/** Reads it in slices, as HTTP does, and closes it. */
export async function readContent(content: Content, sliceBytes = 256 * 1024): Promise<Buffer> {
  const slices: Uint8Array[] = []
  try {
    for (let at = 0; at < content.sizeBytes; ) {
      const slice = await content.read(at, sliceBytes)
      if (!slice.length) throw new Error('the content ended early')
      slices.push(slice)
      at += slice.length
    }
    return Buffer.concat(slices)
  } finally {
    content.close()
  }
}

/** A package with so many bytes that do not compress. */
export function makeBigPackage(name: string, sizeBytes: number, version = '1.0-r0'): TestPackage {
  const noise = Buffer.alloc(sizeBytes)
  let state = sizeBytes + version.length
  for (let at = 0; at < sizeBytes; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    noise[at] = state >>> 24
  }
  return makePackage({ name, version, key, files: { 'usr/share/noise': noise } })
}
