// A server killed in the middle of deploys: after the next start every link leads to a configuration, and the hosts of one request have the same one.
import { spawnSync } from 'node:child_process'
import { lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openTransactions } from '../../src/store/transaction.ts'
import { makePilotFixture, type PilotFixture } from './fixture.ts'

let fixture: PilotFixture
beforeEach(() => {
  fixture = makePilotFixture()
})
afterEach(() => fixture.remove())

const child = resolve(import.meta.dirname, 'deploy-child.ts')

it('leaves no dangling link and nothing half done', { timeout: 120_000 }, async () => {
  const folder = join(fixture.root, 'pxelinux.cfg')
  const intents = join(fixture.folder, 'intents')
  for (let round = 0; round < 12; round++) {
    const { signal, stderr } = spawnSync(process.execPath, [child, fixture.file, intents, String(round * 0.9)], { encoding: 'utf8' })
    expect([signal, stderr.replace(/.*ExperimentalWarning.*\n|.*--trace-warnings.*\n/g, '')]).toEqual(['SIGKILL', ''])
    await openTransactions(intents)
    const links = readdirSync(folder).filter((name) => name.startsWith('01-'))
    expect(links).toHaveLength(4)
    for (const name of links) {
      expect(lstatSync(join(folder, name)).isSymbolicLink()).toBe(true)
      expect(statSync(join(folder, name)).isFile()).toBe(true)
    }
    const [h1, h3] = ['01', '31'].map((end) => readlinkSync(join(folder, `01-00-00-00-00-00-${end}`)))
    expect(h1).toBe(h3)
    expect(readdirSync(intents).filter((name) => !name.startsWith('.'))).toEqual([])
  }
})
