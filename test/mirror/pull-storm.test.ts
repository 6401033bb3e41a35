// Many stations, an upstream that fails in every way, packages that are rebuilt: whatever happens, what is complete is right, and what is kept too.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { TestPackage } from '../support/apk.ts'
import { seededRandom } from '../support/random.ts'
import type { Fault } from '../support/upstream.ts'
import { eventually, folder, indexPath, makeBigPackage, makePullRig } from './pull-rig.ts'

const sizes = [500, 60_000, 700_000, 4_500_000]
const packagesOf = (version: string): TestPackage[] => sizes.map((size, at) => makeBigPackage(`p${at}`, size, version))

it.each([1, 2])('storm %i', { timeout: 90_000 }, async (seed) => {
  const random = seededRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const versions = ['1.0-r0', '1.0-r1', '1.0-r2'].map(packagesOf)
  const right = new Map(versions.flat().map((one) => [one.fileName, one.bytes]))
  const rig = await makePullRig({ packages: versions[0] ?? [], client: { headersMs: 200, stallMs: 200 }, patienceMs: 100, maxBytes: 12_000_000 })
  const faults: readonly (Fault | undefined)[] = [
    undefined,
    undefined,
    { kind: 'cut', afterBytes: 300, times: 1 },
    { kind: 'cut', afterBytes: 400_000, times: 3 },
    { kind: 'short', afterBytes: 100, times: 1 },
    { kind: 'long', times: 1 },
    { kind: 'hang', times: 1 },
    { kind: 'refuse', times: 1 },
    { kind: 503, times: 2 },
    { kind: 404, times: 1 },
  ]
  let current = versions[0] ?? []
  let complete = 0

  async function station(): Promise<void> {
    await rig.get(indexPath).catch(() => undefined)
    const one = pick(current)
    const path = `${folder}/${one.fileName}`
    try {
      const content = await rig.pull.open(path)
      const sliceBytes = pick([1000, 256 * 1024])
      const stopsAt = random() < 0.2 ? random() * content.sizeBytes : content.sizeBytes
      const from = random() < 0.2 ? Math.floor(random() * content.sizeBytes) : 0
      try {
        for (let at = from; at < stopsAt; at += sliceBytes) {
          const wanted = one.bytes.subarray(at, at + sliceBytes)
          const slice = await content.read(at, sliceBytes)
          // Before the end there may be bytes of a file that turns out to be wrong; here upstream never has any.
          if (Buffer.compare(slice, wanted)) throw new Error(`${path} is wrong at ${at}`)
        }
        if (stopsAt === content.sizeBytes) complete++
      } finally {
        content.close()
      }
    } catch (error) {
      expect((error as { code?: string }).code ?? String(error)).toMatch(/^(upstream-|mirror-|file-|disk-full|transfer-ended)/)
    }
  }

  for (let round = 0; round < 12; round++) {
    if (round % 4 === 3) {
      current = versions[Math.floor(round / 4)] ?? current
      rig.publish(current)
    }
    for (const one of current) rig.server.fault(`${folder}/${one.fileName}`, pick(faults))
    rig.server.fault(indexPath, pick(faults))
    const stations = Array.from({ length: 12 }, station)
    await Promise.race([Promise.all(stations), new Promise((resolve) => setTimeout(resolve, 150))])
    rig.server.release()
    await Promise.all(stations)
    rig.clock.now += pick([1_000, 20_000, 11 * 60_000])
  }
  await eventually(() => rig.pull.describe().running).toBe(0)
  expect(complete).toBeGreaterThan(10)
  const names = await readdir(join(rig.root, folder))
  await eventually(() => rig.list().then((list) => list.filter((name) => name.startsWith('.')))).toEqual([])
  for (const name of names.filter((one) => one.endsWith('.apk')))
    expect([name, (await readFile(join(rig.root, folder, name))).equals(right.get(name) ?? Buffer.alloc(0))]).toEqual([name, true])
  expect(rig.pull.describe().keptBytes).toBeLessThanOrEqual(12_000_000)
})
