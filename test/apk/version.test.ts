import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDependency, splitWorld } from '../../src/apk/dependency.ts'
import { compareVersions, isVersion, matchesVersion, type VersionOperator } from '../../src/apk/version.ts'
import { DecodeError } from '../../src/boot/error.ts'

/** Each list is in apk's order, oldest first. */
const ladders: string[][] = [
  ['1', '1.0', '1.1', '1.2', '1.9', '1.10', '1.100', '2', '10'],
  ['1.0_alpha', '1.0_alpha1', '1.0_alpha2', '1.0_alpha10', '1.0_beta', '1.0_pre', '1.0_pre3', '1.0_rc', '1.0_rc1', '1.0', '1.0-r1'],
  ['1.0', '1.0-r0', '1.0-r1', '1.0-r10', '1.0_cvs', '1.0_svn', '1.0_git', '1.0_git20240101', '1.0_hg', '1.0_p', '1.0_p1', '1.0_p1-r1', '1.0.1'],
  ['1.0', '1.0a', '1.0b', '1.0z', '1.1'],
  // A part after a dot that begins with 0 is a fraction.
  ['1.0', '1.001', '1.01', '1.011', '1.02', '1.1', '1.10'],
  ['0.9', '1.0_alpha_p', '1.0_alpha', '1.0'].slice(0, 1).concat('1.0_alpha', '1.0_alpha_p1', '1.0'),
  ['1~abc', '1~abd'],
]

describe('the order of versions', () => {
  it.each(ladders.map((ladder) => [ladder.join(' < '), ladder]))('%s', (_, ladder) => {
    const list = ladder as string[]
    for (const [at, one] of list.entries()) {
      expect(isVersion(one)).toBe(true)
      for (const [other, two] of list.entries()) expect(Math.sign(compareVersions(one, two)), `${one} ${two}`).toBe(Math.sign(at - other))
    }
  })

  it.each([
    ['006', '6'],
    ['1.0_p01', '1.0_p1'],
    ['1-r00', '1-r0'],
    ['18446744073709551616999', '18446744073709551616999'],
  ])('%s is the same as %s', (one, other) => {
    expect(compareVersions(one, other)).toBe(0)
  })

  it('numbers of any length are numbers', () => {
    expect(compareVersions('99999999999999999998', '99999999999999999999')).toBeLessThan(0)
  })

  it.each<[string, VersionOperator, string, boolean]>([
    ['1.2.3-r0', '~', '1.2', true],
    ['1.2.3-r0', '~', '1.2.3', true],
    ['1.20-r0', '~', '1.2', false],
    ['1.2-r0', '~', '1.2.3', false],
    ['1.3', '~', '1.2', false],
    ['6.0_pre1', '~', '6.0', true],
    ['1.2.3', '>~', '1.2', true],
    ['1.3', '>~', '1.2', true],
    ['1.1', '>~', '1.2', false],
    ['1.1', '<~', '1.2', true],
    ['1.2.9', '<~', '1.2', true],
    ['1', '<', '1', false],
    ['1', '<=', '1', true],
    ['1', '=', '1', true],
    ['1', '>=', '1', true],
    ['1', '>', '1', false],
    ['1.1', '>', '1', true],
    ['0.9', '<', '1', true],
    ['1', '=', '1-r0', false],
    ['', '>', '1', false],
    ['', '<', '1', true],
  ])('%s %s %s: %s', (version, operator, wanted, holds) => {
    expect(matchesVersion(version, operator, wanted)).toBe(holds)
  })

  it.each(['', 'a', '1.', '1..2', '1.0bc', '1.0_foo', '1.0_alphax', '1.0-1', '1.0-r', '1.0-r1.2', '1.0 ', '1A', '1~xyz'])(
    '%j is no version',
    (text) => {
      expect(isVersion(text)).toBe(false)
    },
  )

  const number = fc.oneof(fc.nat({ max: 20 }).map(String), fc.constantFrom('0', '00', '01', '010', '10'))
  const suffix = fc.tuple(fc.constantFrom('alpha', 'beta', 'pre', 'rc', 'cvs', 'svn', 'git', 'hg', 'p'), fc.option(number, { nil: '' }))
  const version = fc
    .tuple(
      fc.array(number, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('', '', 'a', 'b'),
      fc.array(suffix, { maxLength: 2 }),
      fc.constantFrom('', '', '-r0', '-r1', '-r10', '~abc', '~abd-r2'),
    )
    .map(([numbers, letter, suffixes, end]) => `${numbers.join('.')}${letter}${suffixes.map(([name, digits]) => `_${name}${digits}`).join('')}${end}`)

  it('is total: every version is one, comparing both ways agrees, and it is transitive', () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(isVersion(a)).toBe(true)
        expect(compareVersions(a, a)).toBe(0)
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) || 0)
        const [low, middle, high] = [a, b, c].sort(compareVersions) as [string, string, string]
        expect(compareVersions(low, middle)).toBeLessThanOrEqual(0)
        expect(compareVersions(low, high)).toBeLessThanOrEqual(0)
        expect(compareVersions(middle, high)).toBeLessThanOrEqual(0)
      }),
      { numRuns: 3000 },
    )
  })

  it('ends for any text, whatever is in it', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => Math.sign(compareVersions(a, b)) === (-Math.sign(compareVersions(b, a)) || 0)))
  })
})

describe('dependencies', () => {
  it.each([
    ['busybox', { name: 'busybox', isConflict: false }],
    ['!busybox', { name: 'busybox', isConflict: true }],
    ['nginx=1.2-r0', { name: 'nginx', operator: '=', version: '1.2-r0' }],
    ['nginx==1.2-r0', { name: 'nginx', operator: '=' }],
    ['nginx~1.2', { name: 'nginx', operator: '~', version: '1.2' }],
    ['nginx=~1.2', { name: 'nginx', operator: '~' }],
    ['nginx>=1.2', { operator: '>=' }],
    ['nginx=>1.2', { operator: '>=' }],
    ['!nginx<2', { isConflict: true, operator: '<', version: '2' }],
    ['nginx@edge', { name: 'nginx', tag: 'edge' }],
    ['nginx@edge>1', { name: 'nginx', tag: 'edge', operator: '>', version: '1' }],
    ['so:libc.musl-x86_64.so.1', { name: 'so:libc.musl-x86_64.so.1' }],
    ['/bin/sh', { name: '/bin/sh' }],
    ['gtk+3.0', { name: 'gtk+3.0' }],
  ])('%s', (text, expected) => {
    expect(parseDependency(text)).toMatchObject(expected)
  })

  it.each(['', '!', 'a=', '=1', 'a b', 'a=1=2', 'a@', '@x', '!!a'])('%j is refused', (text) => {
    expect(() => parseDependency(text)).toThrow(DecodeError)
  })

  it('any text is a dependency or refused with DecodeError', () => {
    const texts = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('a', '1', '=', '<', '>', '~', '@', '!', '.', ' ', ':') }))
    fc.assert(
      fc.property(texts, (text) => {
        try {
          expect(parseDependency(text).text).toBe(text)
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('a world is words between blanks and lines', () => {
    expect(splitWorld('alpine-base\nopenssh nginx~1.2\n\n# no\n')).toEqual(['alpine-base', 'openssh', 'nginx~1.2'])
  })
})
