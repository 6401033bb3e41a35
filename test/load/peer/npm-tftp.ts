// The npm package `tftp` as a server, for comparison. Takes the folder to serve.
import { createRequire } from 'node:module'
import { serverAddress } from '../place.ts'

const tftp = createRequire(import.meta.url)('tftp')
const server = tftp.createServer({ host: serverAddress, port: 69, root: process.argv[2], denyPUT: true })
server.on('error', () => {})
server.on('request', (request: { on: (name: string, listener: () => void) => void }) => request.on('error', () => {}))
server.listen()
