// A folder of its own for one test, removed when the test ends.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Makes the folder and answers its path. Call it inside a test. */
export async function makeScratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bivouac-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
