// What the npm packages dhcp and tftp do with real input, for decision 2: run by hand, `node test/interop/npm-peers.mjs`.
// Each package gets one message in a process of its own; printed is how that process ends. Loopback only.
import { spawnSync } from 'node:child_process'

const dhcpServer = `
  const dhcp = require('dhcp')
  const Protocol = require('dhcp/lib/protocol')
  const server = dhcp.createServer({ range: ['10.9.0.10', '10.9.0.20'], netmask: '255.255.255.0', server: '10.9.0.1' })
  server.on('error', (error) => console.error('error event:', error.message ?? error))
  // DISCOVER of an iPXE ROM: fixed fields, cookie, message type 1, and a parameter list with option 60.
  const packet = Buffer.concat([Buffer.from([1, 1, 6, 0, 1, 2, 3, 4]), Buffer.alloc(20), Buffer.from('525400123456', 'hex'), Buffer.alloc(202),
    Buffer.from([99, 130, 83, 99, 53, 1, 1, 55, 4, 1, 3, 60, 67, 255])])
  server._sock.emit('message', packet, { address: '0.0.0.0', port: 68 })
  console.log('answered')
  process.exit(0)`

// A read request for this very file, then one byte to the port that the transfer answers from.
const tftpServer = `
  const tftp = require('tftp')
  const dgram = require('node:dgram')
  const server = tftp.createServer({ host: '127.0.0.1', port: 10069, root: '.' })
  server.on('error', (error) => console.error('error event:', error.message))
  server.on('request', (request) => request.on('error', () => {}))
  server.on('listening', () => {
    const client = dgram.createSocket('udp4')
    client.once('message', (message, { port }) => client.send(Buffer.from([0]), port, '127.0.0.1'))
    client.send(Buffer.from('\\0\\x01npm-peers.mjs\\0octet\\0', 'latin1'), 10069, '127.0.0.1')
    setTimeout(() => { console.log('still alive'); process.exit(0) }, 1000)
  })
  server.listen()`

for (const [name, code] of [['dhcp', dhcpServer], ['tftp', tftpServer]]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--no-deprecation', '-e', code], { encoding: 'utf8', cwd: import.meta.dirname, timeout: 10_000 })
  const reason = stderr.split('\n').find((line) => /Error|Invalid/.test(line)) ?? ''
  process.stdout.write(`${name}: exit ${status}; ${(stdout.trim() || reason.trim()).slice(0, 120)}\n`)
}
