// The parent that guard.test.ts kills: starts a guarded program or an undo, says its process ids, and waits.
import { startGuarded, startUndo } from '../../src/nfs/guard.ts'

const say = (line: string) => void process.stdout.write(`${line}\n`)
const [kind, ...argv] = process.argv.slice(2)
const guarded = await (kind === 'undo' ? startUndo : startGuarded)(argv, (line) => say(line))
say(`guard ${guarded.pid}`)
setInterval(() => {}, 1000)
