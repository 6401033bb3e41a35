import { describe, expect, it } from 'vitest'
import { createSerial } from '../../src/qemu/serial.ts'

describe('a serial line', () => {
  it.each([
    ['colours and cursor moves', '\x1b[2J\x1b[01;01H\x1b[=3h\x1b[0mBVC up\r\n', '\nBVC up\n'],
    ['the prompt that iPXE takes away', 'Ctrl-B\b \b\b \bnet0: x\n', 'Ctrl-B\nnet0: x\n'],
    ['doubled carriage returns', 'one\r\r\ntwo\r\n', 'one\ntwo\n'],
    ['two-letter escapes', '\x1bcSeaBIOS\x1b(B\n', 'SeaBIOS\n'],
  ])('shows %s as plain text', (_, raw, plain) => {
    const serial = createSerial()
    serial.push(raw)
    expect(serial.text()).toBe(plain)
  })

  it('strips an escape that is cut at any place', () => {
    const raw = 'a\x1b[31;1mb\x1b[0m\r\nBVC ok\n'
    for (let at = 1; at < raw.length; at++) {
      const serial = createSerial()
      serial.push(raw.slice(0, at))
      serial.push(raw.slice(at))
      expect(serial.text()).toBe('ab\nBVC ok\n')
    }
  })

  it('gives whole lines, and finds what came before the waiting began', async () => {
    const serial = createSerial()
    const lines: string[] = []
    const stop = serial.onLine((line) => lines.push(line))
    serial.push('one\ntw')
    serial.push('o\n')
    stop()
    serial.push('three\n')
    expect(lines).toEqual(['one', 'two'])
    expect((await serial.waitFor(/^t(w)o$/m, 1000))[1]).toBe('w')
  })

  it('waits for what comes, and tells the end of the line when it does not', async () => {
    const serial = createSerial()
    const waiting = serial.waitFor(/up/, 1000)
    serial.push('BVC up')
    expect((await waiting)[0]).toBe('up')
    serial.push(' and gone\n')
    const other = serial.waitFor(/never/, 60_000)
    serial.end()
    await expect(other).rejects.toThrow(/ended without \/never\/[\s\S]*BVC up and gone/)
    await expect(serial.waitFor(/never/, 1)).rejects.toThrow('ended without')
  })

  it('keeps no more than a megabyte', () => {
    const serial = createSerial()
    for (let at = 0; at < 40; at++) serial.push(`${'x'.repeat(65_535)}\n`)
    serial.push('last\n')
    expect(serial.text().length).toBe(1 << 20)
    expect(serial.tail(1)).toBe('last')
  })
})
