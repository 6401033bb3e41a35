// What a server that was killed in the middle of a save left is gone after the next start: it holds passwords, and nobody would ever remove it.
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { startServer } from '../../src/server.ts'
import { makeScratch } from '../support/scratch.ts'

it('half an upload and half an archive are removed, whole ones stay', async () => {
  const scratch = await makeScratch()
  const put = (path: string): string => {
    mkdirSync(join(scratch, path, '..'), { recursive: true })
    writeFileSync(join(scratch, path), 'half')
    return join(scratch, path)
  }
  const upload = put('state/uploads/.upload-7535fd32-5963-4126-b689-7df0c3f6c83a.tmp')
  const archive = put('depot/configs/.52-54-00-12-34-56.tar.gz.0123abcd.tmp')
  const whole = put('depot/configs/52-54-00-12-34-56.tar.gz')
  utimesSync(archive, 1_700_000_000, 1_700_000_000)
  const flags = {
    depot: join(scratch, 'depot'),
    state: join(scratch, 'state'),
    'http.address': '127.0.0.1',
    'http.port': '0',
    'tftp.enabled': 'false',
  }
  const { config } = loadConfig({ flags, env: {}, cwd: scratch })
  const server = await startServer(config, '0.0.0', (error) => {
    throw error
  })
  onTestFinished(() => server.stop())
  expect([upload, archive, whole].map((path) => existsSync(path))).toEqual([false, false, true])
})
