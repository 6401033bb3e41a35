// kill -9 in the middle of writing, ten times: no acknowledged lease is lost, none is corrupt. The other half is crash-child.ts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openStore } from '../../src/store/embedded.ts'
import { makeScratch } from '../support/scratch.ts'

it('loses no acknowledged lease when it is killed ten times', async () => {
  const folder = join(await makeScratch(), 'state')
  const acknowledged = new Map<string, number>()
  for (let round = 1; round <= 10; round++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'crash-child.ts'), folder, String(round)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    let count = 0
    for await (const line of createInterface(child.stdout)) {
      const [ip = '', expiresAt = ''] = line.split(' ')
      acknowledged.set(ip, Number(expiresAt))
      // Each round at another point of the write, the sync or the compaction.
      if (++count === 300 + round * 97) child.kill('SIGKILL')
    }
    await ended
    expect(child.signalCode).toBe('SIGKILL')

    const store = await openStore(folder, { sync: true, now: () => 0 })
    const kept = new Map(store.leases.all().map((lease) => [lease.ip as string, lease]))
    for (const [ip, expiresAt] of acknowledged) {
      const lease = kept.get(ip)
      expect(lease?.expiresAt, `${ip} in round ${round}`).toBeGreaterThanOrEqual(expiresAt)
      expect(lease?.hostname).toBe(`station-${ip}-${lease?.expiresAt}`)
    }
    expect(store.events.read({ kinds: ['record-bad'] })).toEqual([])
    await store.close()
  }
  expect(acknowledged.size).toBeGreaterThan(200)
})
