// Commits one generation after the other over eight files, until it kills itself. Run by edit.test.
import { join } from 'node:path'
import { openTransactions } from '../../src/store/transaction.ts'

const [folder = '', delayMs = '0'] = process.argv.slice(2)
const { commit } = await openTransactions(join(folder, 'intents'))
for (let generation = 0; ; generation++) {
  const done = commit(Array.from({ length: 8 }, (_, index) => ({ path: join(folder, `f${index}`), bytes: String(generation) })))
  if (generation === 3) setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(delayMs))
  await done
}
