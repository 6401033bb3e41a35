// `bivouac token new`: a new operator token, shown once. Writes the state folder, so the server must not be running.
import type { Command } from 'commander'
import { openStore } from '../store/embedded.ts'
import { createToken } from '../store/token.ts'
import type { Context } from './context.ts'
import { say, sayJson } from './output.ts'

export function addTokenCommand(program: Command, context: () => Context): void {
  program
    .command('token')
    .description('operator tokens, which writing and remote reading need')
    .command('new')
    .description('make a new operator token in place of the old one and show it once (stop the server first)')
    .addHelpText('after', '\nExamples:\n  bivouac token new\n  bivouac token new --json')
    .action(async () => {
      const { config } = context().load()
      const store = await openStore(config.state, { sync: true, now: Date.now })
      try {
        const token = await createToken(store.marks)
        if (context().json) return sayJson({ token })
        say(`New operator token, shown only now: ${token}`)
        say('Use it as BIVOUAC_TOKEN in the environment of the bivouac command, or as "Authorization: Bearer …".')
      } finally {
        await store.close()
      }
    })
}
