import { describe, expect, it } from 'vitest'
import { foldName, parseFacts } from '../../src/http/name.ts'
import { seededRandom } from '../support/random.ts'

describe('names in paths', () => {
  it.each([
    ['/boot.ipxe', 'boot.ipxe'],
    ['//boot.ipxe', 'boot.ipxe'],
    ['/releases//alpine///vmlinuz-lts', 'releases/alpine/vmlinuz-lts'],
    ['/configs/52:54:00:12:34:56.tar.gz', 'configs/52:54:00:12:34:56.tar.gz'],
    ['/configs/52%3A54%3a00:12:34:56.tar.gz', 'configs/52:54:00:12:34:56.tar.gz'],
    ['/a%2Bb', 'a+b'],
    ['/a%2525', 'a%25'],
  ])('%s → %s', (path, name) => {
    expect(foldName(path)).toBe(name)
  })

  it.each([
    ['/'],
    ['//'],
    [''],
    ['/boot.ipxe/'],
    ['/..'],
    ['/../stations/a.yaml'],
    ['/a/../b'],
    ['/a/./b'],
    ['/.git/config'],
    ['/a/.hidden'],
    ['/%2e%2e/stations/a.yaml'],
    ['/%2E%2E%2Fstations'],
    ['/a%2F..%2Fb'],
    ['/..%5cstations'],
    ['/a\\b'],
    ['/a%00b'],
    ['/a%0d%0ab'],
    ['/a b'],
    ['/é'],
    ['/%C3%A9'],
    ['/%'],
    ['/%zz'],
    ['/%ff'],
    [`/${'a'.repeat(600)}`],
  ])('refuses %j', (path) => {
    expect(foldName(path)).toBeUndefined()
  })
})

describe('facts of the query', () => {
  it.each<[string, unknown]>([
    ['/x', undefined],
    ['/x?', undefined],
    ['/x?mac=52', undefined],
    ['/x?serial=', undefined],
    ['/x?serial=A1', { serial: 'A1' }],
    ['/x?serial=A1&serial=B2', { serial: 'A1' }],
    ['/x?product=Standard%20PC%20(Q35)&platform=efi', { product: 'Standard PC (Q35)', platform: 'efi' }],
    ['/x?asset=a+b', { asset: 'a+b' }],
    ['/x?asset=a=b', { asset: 'a=b' }],
    ['/x?asset=%', undefined],
    ['/x?asset=%0a&uuid=u', { uuid: 'u' }],
    ['/x?asset=%C3%A9', undefined],
    [`/x?asset=${'a'.repeat(128)}`, { asset: 'a'.repeat(128) }],
    [`/x?asset=${'a'.repeat(129)}`, undefined],
    ['/x?__proto__=a&constructor=b&toString=c', undefined],
    [`/x?${'a=b&'.repeat(32)}serial=late`, undefined],
    [`/x?${'a'.repeat(2048)}&serial=late`, undefined],
  ])('%s', (url, facts) => {
    expect(parseFacts(url)).toEqual(facts)
  })

  it('takes any text without throwing, and keeps within its bounds (20,000)', () => {
    const random = seededRandom(42)
    const words = [
      'uuid',
      'serial',
      'asset',
      'product',
      'mac',
      '=',
      '&',
      '%',
      '%20',
      '%zz',
      '%C3',
      '?',
      '#',
      '+',
      '../',
      '\u0000',
      'é',
      '😀',
      ' ',
      '__proto__',
      'x',
    ]
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: Math.floor(random() * 40) }, () =>
        random() < 0.1 ? String.fromCharCode(Math.floor(random() * 65536)) : words[Math.floor(random() * words.length)],
      ).join('')
      const facts = parseFacts(`/boot/x?${text}`)
      for (const value of Object.values(facts ?? {})) expect(value).toMatch(/^[ -~]{1,128}$/)
      const name = foldName(`/${text}`)
      if (name !== undefined) expect(name).toMatch(/^(?!.*(^|\/)[./])[!-~]+(?<!\/)$/)
    }
  })
})
