import { describe, expect, it } from 'vitest'
import { DecodeError, InputError } from '../../src/boot/error.ts'
import { evaluateCondition, macrosOf } from '../../src/ipxe/condition.ts'
import { defaultOf, type Option, parseHeader, parseOptions } from '../../src/ipxe/option.ts'
import { renderHeaders } from '../../src/ipxe/setting.ts'
import { parseTarget } from '../../src/ipxe/target.ts'
import { seededRandom } from '../support/random.ts'
import { brandingHeader, generalHeader, headers } from './support/header.ts'

const book = parseOptions(headers)
const option = (name: string): Option => {
  const found = book.options.get(name)
  if (!found) throw new Error(`no ${name}`)
  return found
}
const bios = macrosOf(parseTarget('bin/undionly.kpxe').binDir, '#define SHIP_NULL\n')
const efi = macrosOf(parseTarget('bin-x86_64-efi/ipxe.efi').binDir)
const arm = macrosOf(parseTarget('bin-arm64-efi/ipxe.efi').binDir)

describe('option headers', () => {
  it('knows the headers that can be changed, and no others', () => {
    expect(book.headers).toEqual(['branding.h', 'general.h'])
    expect([...book.options.keys()]).toEqual([
      ...['MAKER_NAME', 'MAKER_URI', 'KEYS', 'NET_ROAD', 'NET_TUNNEL', 'DOWNLOAD_SAFE', 'DOWNLOAD_FILE', 'SHIP_CMD', 'CPU_CMD', 'MODERN_WAY'],
      ...['WAIT_TIMEOUT', 'LONG_TIMEOUT', 'LONG_NOTE'],
    ])
  })

  it.each([
    ['NET_ROAD', 'flag', true, true, true, 'The plain road'],
    ['NET_TUNNEL', 'flag', false, false, false, 'The long tunnel'],
    ['DOWNLOAD_SAFE', 'flag', false, true, true, 'The guarded road'],
    ['DOWNLOAD_FILE', 'flag', false, true, true, 'From a file'],
    ['SHIP_CMD', 'flag', false, true, true, 'Ships'],
    ['CPU_CMD', 'flag', false, false, false, "The processor's own tale"],
    ['MODERN_WAY', 'flag', false, true, true, ''],
    ['WAIT_TIMEOUT', 'number', '20', '20', '20', 'How long to wait, in tenths.'],
    ['LONG_TIMEOUT', 'number', '( 2 * WAIT_TIMEOUT )', '( 2 * WAIT_TIMEOUT )', '( 2 * WAIT_TIMEOUT )', 'How long to wait, in tenths.'],
    ['LONG_NOTE', 'flag', true, true, true, 'A note that goes on for two lines'],
    ['MAKER_URI', 'string', '"http://maker.example/%08x"', '"http://maker.example/%08x"', '"http://maker.example/%08x"', 'Names'],
    ['KEYS', 'identifier', 'us', 'us', 'us', 'Default keys'],
  ])('%s: %s', (name, kind, onBios, onEfi, onArm, description) => {
    const one = option(name)
    expect([one.kind, defaultOf(one, bios), defaultOf(one, efi), defaultOf(one, arm), one.description]).toEqual([
      kind,
      onBios,
      onEfi,
      onArm,
      description,
    ])
  })

  it.each([
    ['defined ( A ) && ! defined ( B )', ['A'], true],
    ['defined ( A ) && ! defined ( B )', ['A', 'B'], false],
    ['defined A || ( defined ( B ) && defined ( C ) )', ['B', 'C'], true],
    ['! ( defined ( A ) || defined ( B ) )', [], true],
    ['SOMETHING > 3', [], true],
    ['', [], true],
  ])('works out %j with %j', (condition, names, expected) => {
    expect(evaluateCondition(condition, new Set(names))).toBe(expected)
  })

  it('throws nothing but DecodeError at random headers', () => {
    const random = seededRandom(11)
    const parts = [
      '#define ',
      '//#define ',
      '#undef ',
      '#if ',
      '#ifdef ',
      '#else\n',
      '#elif ',
      '#endif\n',
      'X',
      'defined ( Y )',
      '"a',
      '" ',
      '/*',
      '*/',
      '\\\n',
      '\n',
      '(',
      ')',
      '!',
      '&&',
      '12',
    ]
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: Math.floor(random() * 20) }, () => parts[Math.floor(random() * parts.length)]).join('')
      try {
        for (const one of parseHeader('x.h', text)) defaultOf(one, bios)
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
      }
    }
    expect(() => evaluateCondition('!('.repeat(5000), bios)).not.toThrow()
  })

  it('survives cuts at any place', () => {
    for (const text of [generalHeader, brandingHeader])
      for (let length = 0; length < text.length; length++) {
        try {
          parseHeader('x.h', text.slice(0, length))
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error
        }
      }
  })
})

describe('settings', () => {
  it('become local headers, #undef first, sorted, empty where nothing is set', () => {
    expect(renderHeaders(book, { WAIT_TIMEOUT: 0, NET_TUNNEL: true, NET_ROAD: false })).toEqual({
      'branding.h': '',
      'general.h': '#undef NET_ROAD\n#undef NET_TUNNEL\n#define NET_TUNNEL\n#undef WAIT_TIMEOUT\n#define WAIT_TIMEOUT 0\n',
    })
    expect(renderHeaders(book, { MAKER_NAME: 'Site <1>', KEYS: 'fr', MAKER_URI: 'http://10.0.0.1/e/%08x' })['branding.h']).toBe(
      '#undef KEYS\n#define KEYS fr\n#undef MAKER_NAME\n#define MAKER_NAME "Site <1>"\n#undef MAKER_URI\n#define MAKER_URI "http://10.0.0.1/e/%08x"\n',
    )
  })

  it.each([
    ['an unknown name', { NO_SUCH: true }, 'option-unknown'],
    ['a name of a header that is not open', { INNER: 2 }, 'option-unknown'],
    ['a value for a switch', { NET_ROAD: 'yes' }, 'option-value'],
    ['code for a number', { WAIT_TIMEOUT: '1\n#include "/etc/shadow"' }, 'option-value'],
    ['an expression', { WAIT_TIMEOUT: '1+1' }, 'option-value'],
    ['a negative number', { WAIT_TIMEOUT: -1 }, 'option-value'],
    ['a quote', { MAKER_NAME: 'a"b' }, 'option-value'],
    ['a backslash', { MAKER_NAME: 'a\\' }, 'option-value'],
    ['a line end', { MAKER_NAME: 'a\nb' }, 'option-value'],
    ['a conversion that the string has not', { MAKER_NAME: '%s' }, 'option-value'],
    ['a URI without its conversion', { MAKER_URI: 'http://x/' }, 'option-value'],
    ['a call', { KEYS: 'us()' }, 'option-value'],
  ])('refuse %s', (_, settings, code) => {
    expect(() => renderHeaders(book, settings as never)).toThrow(expect.objectContaining({ code }))
    expect(() => renderHeaders(book, settings as never)).toThrow(InputError)
  })

  it('names options that are near', () => {
    expect(() => renderHeaders(book, { TUNNEL_CMD: true })).toThrow(/near: NET_TUNNEL/)
  })
})
