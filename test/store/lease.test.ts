import { describe, expect, it } from 'vitest'
import { readLease } from '../../src/store/lease.ts'
import { lease } from '../contract/store.ts'

describe('readLease', () => {
  it('takes what was written, and passes over what a later version adds', () => {
    const whole = lease(1, { hostname: 'kiosk', clientId: '01ff' })
    expect(readLease(JSON.parse(JSON.stringify({ ...whole, colour: 'blue' })))).toEqual(whole)
    expect(readLease({ ...lease(1), expiresAt: null }).expiresAt).toBe(Number.POSITIVE_INFINITY)
  })

  const bad: [string, unknown][] = [
    ['nothing', null],
    ['a number', 5],
    ['a list', []],
    ['no network', { ...lease(1), network: undefined }],
    ['an empty network', { ...lease(1), network: '' }],
    ['no address', { ...lease(1), ip: 7 }],
    ['a bad address', { ...lease(1), ip: '10.9.0' }],
    ['a bad MAC', { ...lease(1), mac: '52:54' }],
    ['a state that is none', { ...lease(1), state: 'toString' }],
    ['no end', { ...lease(1), expiresAt: undefined }],
    ['an end in words', { ...lease(1), expiresAt: 'soon' }],
  ]
  it.each(bad)('refuses %s', (_, value) => {
    expect(() => readLease(value)).toThrow()
  })
})
