// The client of the npm package `dhcp`, as a program: prints the state that it was bound to, then ends. For tests in namespaces.
import { createRequire } from 'node:module'

type Client = {
  on: (event: 'bound' | 'listening' | 'error' | 'message', listener: (value: { yiaddr?: string }) => void) => void
  readonly _state: { address?: string }
  listen: () => void
  sendDiscover: () => void
  close: () => void
}

const { createClient } = createRequire(import.meta.url)('dhcp') as { createClient: (options: { mac: string }) => Client }
const client = createClient({ mac: process.argv[2] ?? '' })
client.on('listening', () => client.sendDiscover())
// Its mistake: it asks for the address that it had before the offer came, which is none.
client.on('message', ({ yiaddr }) => {
  if (yiaddr !== undefined) client._state.address = yiaddr
})
client.on('error', (error) => process.stdout.write(`error ${String(error)}\n`))
client.on('bound', (state) => {
  process.stdout.write(`bound ${JSON.stringify(state)}\n`)
  process.exit(0)
})
client.listen()
