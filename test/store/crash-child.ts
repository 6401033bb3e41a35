// Run by crash.test.ts, which kills it: writes leases without end and prints each one that was acknowledged.
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import { takeLock } from '../../src/store/lock.ts'
import { openLeases } from '../../src/store/lease.ts'
import { join } from 'node:path'
import { mkdir } from 'node:fs/promises'

const [folder = '', round = ''] = process.argv.slice(2)
await mkdir(folder, { recursive: true })
await takeLock(folder)
// A low limit, so that kills meet compactions too.
const leases = await openLeases(join(folder, 'leases.jsonl'), { sync: true, report: () => undefined, limits: { factor: 2, minLines: 400 } })

async function write(slot: number): Promise<void> {
  for (let step = 0; ; step++) {
    const expiresAt = Number(round) * 1_000_000 + step
    const ip = `10.9.${slot}.${step % 64}` as Ipv4
    await leases.put([{ network: 'lab', ip, mac: '52:54:00:00:00:01' as Mac, state: 'bound', expiresAt, hostname: `station-${ip}-${expiresAt}` }])
    process.stdout.write(`${ip} ${expiresAt}\n`)
  }
}
for (let slot = 0; slot < 8; slot++) void write(slot)
