// A program that asks in the name of clients that are not there: `node dhcp-flood.ts <server> <first three octets>`. For tests in namespaces.
import { createSocket } from 'node:dgram'
import { encodeMessage } from './dhcp-message.ts'

const [server = '', subnet = ''] = process.argv.slice(2)
const socket = createSocket('udp4')
for (let count = 0; count < 2000; count++) {
  const last = 110 + (count % 140)
  const mac = `52:54:00:00:01:${last.toString(16)}`
  const bytes = encodeMessage('inform', { mac, ciaddr: `${subnet}.${last}` })
  // One after the other, so that none is lost on the way.
  await new Promise((sent) => socket.send(bytes, 67, server, sent))
}
socket.close()
