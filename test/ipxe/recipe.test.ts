import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { BivouacError, InputError } from '../../src/boot/error.ts'
import { buildIdOf, canonicalJson, fingerprintOf } from '../../src/ipxe/fingerprint.ts'
import { describeRecipe, parseRecipe, type RecipeInput } from '../../src/ipxe/recipe.ts'
import { formatRecipeQuery, parseRecipeQuery } from '../../src/ipxe/recipe-url.ts'
import { seededRandom } from '../support/random.ts'
import { describeWith } from '../support/tool.ts'
import { authorityPem } from './support/certificate.ts'

const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

const full: RecipeInput = {
  name: 'site',
  target: 'bin/undionly.kpxe',
  source: 'v2',
  script: { template: 'boot', values: { httpBase: 'http://10.9.0.1:8080', tries: 3 } },
  slot: { scriptBytes: 4096, authorities: 2 },
  options: { VLAN_CMD: true, EAPOL: false, BANNER_TIMEOUT: 0, PRODUCT_NAME: 'Camp & roof = 100%' },
  trust: [authorityPem],
  certificates: [authorityPem],
  crosscert: 'http://10.9.0.1/cross',
  debug: ['tls:3', 'dhcp'],
}

describe('recipes', () => {
  it('has what is not said filled in', () => {
    expect(parseRecipe({ target: 'bin/undionly.kpxe' })).toEqual({
      target: 'bin/undionly.kpxe',
      options: {},
      platformOptions: {},
      trust: [],
      trustOverride: false,
      certificates: [],
      debug: [],
    })
    expect(describeRecipe(parseRecipe({ image: { form: 'usb', of: ['bin/ipxe.usb', 'bin-x86_64-efi/ipxe.efi'] } }))).toBe(
      'usb image of bin/ipxe.usb bin-x86_64-efi/ipxe.efi',
    )
  })

  it.each<[string, unknown, string, string]>([
    ['no target', {}, 'recipe-bad', 'target'],
    ['target and image', { target: 'bin/ipxe.pxe', image: { form: 'usb', of: ['bin/ipxe.usb'] } }, 'recipe-bad', 'target'],
    ['a strange member', { target: 'bin/ipxe.pxe', make: 'all' }, 'recipe-bad', 'recipe'],
    ['a bad target in an image', { image: { form: 'usb', of: ['bin/x.exe;'] } }, 'target-unknown', 'target'],
    ['a script without its first line', { target: 'bin/ipxe.pxe', script: { text: 'dhcp' } }, 'script-bad', 'script.text'],
    ['a script file of the server', { target: 'bin/ipxe.pxe', script: { file: '/etc/shadow' } }, 'recipe-bad', 'script'],
    ['a template outside', { target: 'bin/ipxe.pxe', script: { template: '../x' } }, 'recipe-bad', 'script'],
    ['a value with a line end', { target: 'bin/ipxe.pxe', script: { template: 'boot', values: { a: 'x\nshell' } } }, 'recipe-bad', 'script'],
    ['no certificate', { target: 'bin/ipxe.pxe', trust: ['hello'] }, 'certificate-bad', 'trust.0'],
    ['a broken certificate', { target: 'bin/ipxe.pxe', trust: [authorityPem.replace('MII', 'MIX')] }, 'certificate-bad', 'trust.0'],
    ['no key', { target: 'bin/ipxe.pxe', key: 'x' }, 'certificate-bad', 'key'],
    ['debug with a shell in it', { target: 'bin/ipxe.pxe', debug: ['a;id'] }, 'recipe-bad', 'debug.0'],
    ['a cross prefix with a path', { target: 'bin/ipxe.pxe', cross: '/tmp/x-' }, 'recipe-bad', 'cross'],
    ['a config outside', { target: 'bin/ipxe.pxe', config: '../x' }, 'recipe-bad', 'config'],
    [
      'more CAs than places',
      { target: 'bin/ipxe.pxe', trust: [authorityPem, authorityPem], slot: { authorities: 1 } },
      'recipe-bad',
      'slot.authorities',
    ],
    ['text', 'bin/ipxe.pxe', 'recipe-bad', 'recipe'],
  ])('refuses %s', (_, value, code, path) => {
    expect(() => parseRecipe(value)).toThrow(
      expect.objectContaining({ code, place: expect.objectContaining({ path: expect.stringContaining(path) }) }),
    )
  })

  it('takes an RSA key and no other', () => {
    expect(parseRecipe({ target: 'bin/ipxe.pxe', key: rsaKey }).key).toBe(rsaKey)
    const other = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
    expect(() => parseRecipe({ target: 'bin/ipxe.pxe', key: other })).toThrow(/RSA/)
  })

  it.each<[string, RecipeInput]>([
    ['everything', full],
    ['a script of its own', { target: 'bin-x86_64-efi/snponly.efi', script: { text: '#!ipxe\necho a&b=c %41 +é\nshell\n' } }],
    [
      'an image',
      {
        image: { form: 'usb', of: ['bin/ipxe.usb', 'bin-x86_64-efi/ipxe.efi'] },
        trustOverride: true,
        platformOptions: { pcbios: { CONSOLE_SERIAL: true }, efi: { EFI_DOWNGRADE_UX: true } },
      },
    ],
  ])('goes into a URL and comes back: %s', (_, input) => {
    const recipe = parseRecipe(input)
    const back = parseRecipeQuery(formatRecipeQuery(recipe))
    const plain = (one: unknown) => JSON.parse(JSON.stringify(one).replaceAll('\\n', ''))
    expect(plain(back)).toEqual(plain(recipe))
    expect(formatRecipeQuery(back)).toBe(formatRecipeQuery(recipe))
  })

  it('puts no key into a URL', () => {
    expect(() => formatRecipeQuery(parseRecipe({ target: 'bin/ipxe.pxe', key: rsaKey }))).toThrow(/private key/)
  })

  it('throws nothing but InputError at random queries and bodies', () => {
    const random = seededRandom(5)
    const parts = [
      'target=',
      'bin/ipxe.pxe',
      'bin',
      '&',
      'o.X=',
      'on',
      '12',
      'trust=',
      'MII',
      'template=',
      'boot',
      'v.a=',
      '%0a',
      '%zz',
      'slot=',
      '512,1',
      'image=usb',
      'of=',
      '=',
      '__proto__',
      'o.__proto__=',
      'debug=',
    ]
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: Math.floor(random() * 12) }, () => parts[Math.floor(random() * parts.length)]).join('')
      try {
        formatRecipeQuery(parseRecipeQuery(text))
      } catch (error) {
        if (!(error instanceof InputError)) throw error
      }
    }
    const values = [null, 1, '', [], {}, true, 'bin/ipxe.pxe', { text: '#!ipxe' }, ['bin/ipxe.pxe'], { a: null }, Number.NaN]
    const names = Object.keys(full)
    for (let round = 0; round < 20_000; round++) {
      const body = Object.fromEntries(
        Array.from({ length: Math.floor(random() * 5) }, () => [
          names[Math.floor(random() * names.length)],
          values[Math.floor(random() * values.length)],
        ]),
      )
      try {
        parseRecipe(body)
      } catch (error) {
        if (!(error instanceof BivouacError)) throw error
      }
    }
  })
})

describe('fingerprints', () => {
  it('do not depend on the order of members, and do on everything else', () => {
    expect(fingerprintOf({ a: 1, b: [1, { c: 2, d: undefined }] })).toBe(fingerprintOf({ b: [1, { c: 2 }], a: 1 }))
    expect(fingerprintOf({ a: [1, 2] })).not.toBe(fingerprintOf({ a: [2, 1] }))
    expect(fingerprintOf({ a: '1' })).not.toBe(fingerprintOf({ a: 1 }))
    expect(canonicalJson({ b: null, a: 'é"' })).toBe('{"a":"é\\"","b":null}')
  })

  it('give a build id that is a number for the linker and never zero', () => {
    expect(buildIdOf(fingerprintOf('x'))).toMatch(/^0x[0-9a-f]{8}$/)
    expect(buildIdOf('0'.repeat(64))).toBe('0x00000001')
  })
})

describeWith(['openssl'], 'the certificate of these tests', () => {
  it('is one that openssl reads', () => {
    expect(execFileSync('openssl', ['x509', '-noout', '-subject'], { input: authorityPem }).toString()).toContain('camp')
  })
})
