// Wake-on-LAN: the magic packet, sent by broadcast to port 9 (AMD, "Magic Packet Technology", 1995). It can switch on, and nothing else.
import { createSocket } from 'node:dgram'
import { type Mac, encodeMac } from '../boot/address.ts'
import { InputError, OutsideError } from '../boot/error.ts'
import type { PowerSwitch } from './adapter.ts'

/** Six bytes of ones, the MAC sixteen times, perhaps a SecureOn password of six bytes. */
export function encodeMagic(mac: Mac, password?: string): Uint8Array {
  const address = encodeMac(mac)
  const secret = password === undefined ? [] : [...Buffer.from(password.replace(/[:-]/g, ''), 'hex')]
  return Uint8Array.from([...Array(6).fill(0xff), ...Array.from({ length: 16 }, () => [...address]).flat(), ...secret])
}

export type WakeOptions = {
  readonly mac: Mac
  readonly broadcast: string
  readonly password?: string
  readonly port?: number
  readonly send?: SendDatagram
}
export type SendDatagram = (bytes: Uint8Array, port: number, address: string) => Promise<void>

/** How often the packet goes out: nothing acknowledges it. */
const copies = 3

export function createWake({ mac, broadcast, password, port = 9, send = sendBroadcast }: WakeOptions): PowerSwitch {
  const packet = encodeMagic(mac, password)
  return {
    status: async () => 'unknown',
    async act(action) {
      if (action !== 'on') throw new InputError('power-wake', 'Wake-on-LAN can only switch on')
      for (let copy = 0; copy < copies; copy++) await send(packet, port, broadcast)
    },
  }
}

const sendBroadcast: SendDatagram = (bytes, port, address) =>
  new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    const end = (error?: Error | null): void => {
      socket.close()
      if (error) reject(new OutsideError('power-failed', `the magic packet to ${address} cannot be sent: ${error.message}`, true, { cause: error }))
      else resolve()
    }
    socket.once('error', end)
    socket.bind(() => {
      socket.setBroadcast(true)
      socket.send(bytes, port, address, end)
    })
  })
