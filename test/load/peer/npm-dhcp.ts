// The npm package `dhcp` as a server, for comparison. It answers to one fixed address, port 68.
import { createRequire } from 'node:module'
import { relayAddress, serverAddress } from '../place.ts'

const [first = '', last = ''] = process.argv.slice(2)
const dhcp = createRequire(import.meta.url)('dhcp')
const server = dhcp.createServer({
  range: [first, last],
  netmask: '255.255.0.0',
  router: [relayAddress],
  dns: [serverAddress],
  broadcast: relayAddress,
  server: serverAddress,
  bootFile: 'undionly.kpxe',
  leaseTime: 43_200,
})
server.on('error', () => {})
server.listen(67, serverAddress)
