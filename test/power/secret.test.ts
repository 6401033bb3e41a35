// Secrets of a command adapter: read from files or the environment at the moment of use, refused where others may read them, in no message.
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Mac } from '../../src/boot/address.ts'
import { OutsideError } from '../../src/boot/error.ts'
import { adapterSchema, powerSchema } from '../../src/boot/power.ts'
import { openPower } from '../../src/power/open.ts'
import type { Run } from '../../src/power/run.ts'
import { makeScratch } from '../support/scratch.ts'

const adapters = [adapterSchema.parse({ name: 'socket', on: { cmd: 'pductl {{ user }}:{{ password }} on' } })]

async function open(mode = 0o600) {
  const file = join(await makeScratch(), 'pdu')
  writeFileSync(file, 's3 cret\n')
  chmodSync(file, mode)
  const asked: { argv: readonly string[]; secrets: readonly string[] }[] = []
  const run: Run = async (argv, { secrets = [] } = {}) => {
    asked.push({ argv, secrets })
    return { stdout: '', stderr: '' }
  }
  const power = powerSchema.parse({ kind: 'command', adapter: 'socket', variables: { user: 'admin' }, secrets: { password: { file } } })
  const machine = openPower(
    { name: 'one', macs: ['52:54:00:00:00:01' as Mac], power },
    { adapters, networks: [], env: {}, findAddress: () => undefined, run },
  )
  return { machine, asked }
}

it('a secret is one word of the command, and hidden in what the tool says', async () => {
  const { machine, asked } = await open()
  await (await machine).act('on')
  expect(asked).toEqual([{ argv: ['pductl', 'admin:s3 cret', 'on'], secrets: expect.arrayContaining(['s3 cret']) }])
})

it('a file that others may read is refused, and nothing is run', async () => {
  const { machine, asked } = await open(0o644)
  await expect(machine).rejects.toMatchObject({ code: 'secret-open' })
  await expect(machine).rejects.not.toBeInstanceOf(OutsideError)
  expect(asked).toEqual([])
})
