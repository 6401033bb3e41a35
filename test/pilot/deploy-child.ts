// Deploys one configuration after the other to two hosts, until it kills itself. Run by kill.test.
import { readPilotFile } from '../../src/pilot/config.ts'
import { createPilot } from '../../src/pilot/service.ts'
import { openTransactions } from '../../src/store/transaction.ts'

const [file = '', intents = '', delayMs = '0'] = process.argv.slice(2)
const config = readPilotFile(file)
const transactions = await openTransactions(intents)
const run = () => Promise.reject(new Error('nothing is run'))
const pilot = createPilot({ config: () => config, transactions, run, now: Date.now })
const asks = ['h1', 'h3'].map((name) => ({ name, isReboot: false, hasConfiguration: false }))
for (let round = 0; ; round++) {
  const done = pilot.deploy(round % 2 ? 'sheep' : 'local', asks, 'child')
  if (round === 3) setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(delayMs))
  await done
}
