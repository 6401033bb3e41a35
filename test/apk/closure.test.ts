import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCatalog, type Repository } from '../../src/apk/catalog.ts'
import { type Closure, resolveWorld } from '../../src/apk/closure.ts'
import { isFulfilled, parseDependency } from '../../src/apk/dependency.ts'
import type { IndexedPackage } from '../../src/apk/index-file.ts'
import { DecodeError } from '../../src/boot/error.ts'
import { seededRandom } from '../support/random.ts'

type Short = {
  name: string
  version?: string
  arch?: string
  depends?: string[]
  provides?: string[]
  installIf?: string[]
  providerPriority?: number
}
const entry = ({
  name,
  version = '1.0-r0',
  arch = 'x86_64',
  depends = [],
  provides = [],
  installIf = [],
  providerPriority = 0,
}: Short): IndexedPackage => ({
  name,
  version,
  arch,
  checksum: 'Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  sizeBytes: 1,
  installedBytes: 1,
  description: '',
  url: '',
  license: '',
  origin: '',
  maintainer: '',
  commit: '',
  builtSeconds: 0,
  providerPriority,
  depends,
  provides,
  installIf,
})
const repository = (packages: Short[], place = 'v3.22/main', tag?: string): Repository => ({
  place,
  packages: packages.map(entry),
  ...(tag !== undefined && { tag }),
})
const labels = ({ packages }: Closure): string[] => packages.map(({ package: one }) => `${one.name}-${one.version}`)
const solve = (world: string[], ...packages: Short[]): Closure => resolveWorld(world, [repository(packages)])

describe('a world', () => {
  it('brings what its packages need, each after what it needs', () => {
    const closure = solve(
      ['openssh'],
      { name: 'openssh', depends: ['openssh-server', 'so:libc.musl-x86_64.so.1'] },
      { name: 'openssh-server', depends: ['so:libcrypto.so.3'] },
      { name: 'libcrypto3', version: '3.3.1-r0', provides: ['so:libcrypto.so.3=3'], depends: ['so:libc.musl-x86_64.so.1'] },
      { name: 'musl', provides: ['so:libc.musl-x86_64.so.1=1'] },
      { name: 'other' },
    )
    expect(labels(closure)).toEqual(['musl-1.0-r0', 'libcrypto3-3.3.1-r0', 'openssh-server-1.0-r0', 'openssh-1.0-r0'])
    expect(closure.missing).toEqual([])
  })

  it('names what nobody has, and installs the rest, as apk does in silence', () => {
    const closure = solve(['nginx', 'nonesuch', 'tool'], { name: 'nginx', depends: ['so:gone.so.1'] }, { name: 'tool' })
    expect(labels(closure)).toEqual(['nginx-1.0-r0', 'tool-1.0-r0'])
    expect(closure.missing).toEqual([
      { dependency: 'nonesuch', reason: 'absent', requiredBy: ['world'], available: [] },
      { dependency: 'so:gone.so.1', reason: 'absent', requiredBy: ['nginx-1.0-r0'], available: [] },
    ])
  })

  it.each<[string, string[], string]>([
    ['the newest', ['a'], 'a-2.0-r0'],
    ['= a version', ['a=1.0-r0'], 'a-1.0-r0'],
    ['~ a version', ['a~1'], 'a-1.5-r2'],
    ['< a version', ['a<1.5-r2'], 'a-1.0-r0'],
    ['> a version', ['a>1.0-r0'], 'a-2.0-r0'],
    ['two conditions at once', ['a>1.0-r0', 'a<2.0'], 'a-1.5-r2'],
  ])('takes %s', (_, world, chosen) => {
    expect(labels(solve(world, { name: 'a' }, { name: 'a', version: '2.0-r0' }, { name: 'a', version: '1.5-r2' }))).toEqual([chosen])
  })

  it('a version that is not there is named with those that are', () => {
    expect(solve(['a=9'], { name: 'a' }).missing).toEqual([{ dependency: 'a=9', reason: 'version', requiredBy: ['world'], available: ['a-1.0-r0'] }])
  })

  it('a dependency found later makes an earlier choice be taken again', () => {
    const closure = solve(['a', 'z'], { name: 'a', version: '1' }, { name: 'a', version: '2' }, { name: 'z', depends: ['a<2'] })
    expect(labels(closure)).toEqual(['a-1', 'z-1.0-r0'])
    expect(closure.missing).toEqual([])
  })

  it('of several that provide a name the highest priority is taken; without one the world must say', () => {
    const shells = (priority: number): Short[] => [
      { name: 'dash', provides: ['shell'], providerPriority: priority },
      { name: 'bash', provides: ['shell'], providerPriority: priority * 2 },
      { name: 'script', depends: ['shell'] },
    ]
    expect(labels(solve(['script'], ...shells(10)))).toEqual(['bash-1.0-r0', 'script-1.0-r0'])
    expect(solve(['script'], ...shells(0)).missing).toMatchObject([
      { dependency: 'shell', reason: 'choice', available: ['bash-1.0-r0', 'dash-1.0-r0'] },
    ])
    expect(labels(solve(['script', 'dash'], ...shells(0)))).toEqual(['dash-1.0-r0', 'script-1.0-r0'])
  })

  it('of several that provide a name with a version the newest by that name is taken, whatever they are called', () => {
    const libraries = [
      { name: 'a-lib', version: '9', provides: ['so:x=1'], providerPriority: 99 },
      { name: 'b-lib', version: '1', provides: ['so:x=2'] },
      { name: 'c-lib', version: '5', provides: ['so:x=1.5'] },
    ]
    expect(labels(solve(['so:x'], ...libraries))).toEqual(['b-lib-1'])
    expect(labels(solve(['so:x<2'], ...libraries))).toEqual(['c-lib-5'])
  })

  it('keeps apart what excludes each other, and says what stands in the way', () => {
    const both = [
      { name: 'a', depends: ['!b'] },
      { name: 'b' },
      { name: 'c', depends: ['x'] },
      { name: 'b2', provides: ['x=1', 'b=1'] },
      { name: 'x', version: '0' },
    ]
    expect(solve(['a', 'b'], ...both).missing).toMatchObject([{ reason: 'conflict' }])
    expect(labels(solve(['a', 'c'], ...both))).toEqual(['a-1.0-r0', 'x-0', 'c-1.0-r0'])
    expect(solve(['!b', 'b'], ...both).missing).toMatchObject([{ reason: 'conflict' }])
  })

  it('install_if brings packages along when all that they name is there', () => {
    const packages: Short[] = [
      { name: 'nginx' },
      { name: 'openrc' },
      { name: 'nginx-openrc', installIf: ['nginx=1.0-r0', 'openrc'] },
      { name: 'nginx-doc', installIf: ['nginx', 'docs'] },
      { name: 'chained', installIf: ['nginx-openrc'] },
    ]
    expect(labels(solve(['nginx', 'openrc'], ...packages))).toEqual(['nginx-1.0-r0', 'openrc-1.0-r0', 'nginx-openrc-1.0-r0', 'chained-1.0-r0'])
    expect(labels(solve(['nginx'], ...packages))).toEqual(['nginx-1.0-r0'])
    expect(labels(solve(['nginx', 'openrc', '!nginx-openrc'], ...packages))).toEqual(['nginx-1.0-r0', 'openrc-1.0-r0'])
  })

  it('several repositories: the newest wins, among equals the first; tagged ones only when pinned', () => {
    const repositories = [
      repository([{ name: 'a' }, { name: 'b' }], 'main'),
      repository([{ name: 'a' }, { name: 'b', version: '2' }, { name: 'c', arch: 'noarch' }], 'community'),
      repository([{ name: 'a', version: '9', depends: ['dep9'] }, { name: 'dep9' }], 'edge', 'edge'),
    ]
    const places = (world: string[]): string[] =>
      resolveWorld(world, repositories).packages.map(({ package: one, place }) => `${place}/${one.name}-${one.version}`)
    expect(places(['a', 'b', 'c'])).toEqual(['main/a-1.0-r0', 'community/b-2', 'community/c-1.0-r0'])
    expect(places(['a@edge'])).toEqual(['edge/dep9-1.0-r0', 'edge/a-9'])
    expect(places(['a@nowhere'])).toEqual(['main/a-1.0-r0'])
  })

  it('packages of another architecture are not taken', () => {
    const catalog = createCatalog(
      [
        repository([
          { name: 'a', arch: 'aarch64' },
          { name: 'a', version: '0.5' },
        ]),
      ],
      'x86_64',
    )
    expect(labels(resolveWorld(['a'], catalog))).toEqual(['a-0.5'])
  })

  it('loops of dependencies end', () => {
    expect(labels(solve(['a'], { name: 'a', depends: ['b'] }, { name: 'b', depends: ['c'] }, { name: 'c', depends: ['a'] }))).toHaveLength(3)
  })

  it('a chain of 30,000 packages is no matter for the stack', () => {
    const chain = Array.from({ length: 30_000 }, (_, at) => ({ name: `p${at}`, depends: at ? [`p${at - 1}`] : [] }))
    expect(labels(solve(['p29999'], ...chain))).toHaveLength(30_000)
  })

  it('refuses a word that is no dependency, and passes over a rule of a package that is none', () => {
    expect(() => solve(['a=='], { name: 'a' })).toThrow(DecodeError)
    expect(solve(['a'], { name: 'a', depends: ['b=='], installIf: ['c=='] }).missing).toMatchObject([{ dependency: 'b==', reason: 'absent' }])
  })
})

describe('properties', () => {
  const names = Array.from({ length: 12 }, (_, at) => `p${at}`)
  const word = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...names) },
    { weight: 2, arbitrary: fc.constantFrom('so:a', 'so:b', 'cmd:c', 'virtual') },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...names), fc.constantFrom('<2', '=1', '>1', '~2')).map(([name, rest]) => name + rest) },
    { weight: 1, arbitrary: fc.constantFrom(...names).map((name) => `!${name}`) },
  )
  const one = fc.record({
    name: fc.constantFrom(...names),
    version: fc.constantFrom('1', '2', '2.1-r3'),
    depends: fc.array(word, { maxLength: 3 }),
    provides: fc.array(fc.constantFrom('so:a=1', 'so:b=1', 'so:b=2', 'cmd:c=1', 'virtual'), { maxLength: 1 }),
    installIf: fc
      .tuple(fc.nat({ max: 4 }), fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 2 }))
      .map(([dice, list]) => (dice ? [] : list)),
    providerPriority: fc.constantFrom(0, 0, 10),
  })
  const packages: fc.Arbitrary<Short[]> = fc.uniqueArray(one, { maxLength: 24, selector: ({ name, version }) => `${name}-${version}` })
  const world = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 })

  it('is closed: what a chosen package or the world needs is chosen, or named as missing', () => {
    fc.assert(
      fc.property(world, packages, (wanted, list) => {
        const closure = solve(wanted, ...list)
        const provided = new Map<string, string[]>()
        for (const { package: each } of closure.packages)
          for (const text of [`${each.name}=${each.version}`, ...each.provides]) {
            const [name = '', version = ''] = text.split('=')
            provided.set(name, [...(provided.get(name) ?? []), version])
          }
        const missing = new Set(closure.missing.map(({ dependency }) => dependency))
        for (const text of [...wanted, ...closure.packages.flatMap(({ package: each }) => each.depends)]) {
          const dependency = parseDependency(text)
          const isThere = provided.get(dependency.name)?.some((version) => isFulfilled(dependency, version)) ?? false
          if (!dependency.isConflict) expect(isThere || missing.has(text), text).toBe(true)
        }
        // Never two versions of one name.
        const chosen = closure.packages.map(({ package: each }) => each.name)
        expect(new Set(chosen).size).toBe(chosen.length)
      }),
      { numRuns: 1500 },
    )
  })

  it('does not depend on the order of the world, of the index, or on words said twice', () => {
    fc.assert(
      fc.property(world, packages, (wanted, list) => {
        const first = solve(wanted, ...list)
        expect(solve([...wanted, ...wanted].toReversed(), ...list.toReversed())).toEqual(first)
      }),
      { numRuns: 500 },
    )
  })

  it('stands after what it needs, where no loop forbids it', () => {
    const random = seededRandom(3)
    const list = Array.from({ length: 300 }, (_, at) => ({
      name: `q${at}`,
      depends: at ? [`q${Math.floor(random() * at)}`, `q${Math.floor(random() * at)}`] : [],
    }))
    const order = solve(['q299', 'q298', 'q250'], ...list).packages.map(({ package: each }) => each)
    const at = new Map(order.map(({ name }, position) => [name, position]))
    for (const { name, depends } of order) for (const needed of depends) expect(at.get(needed) as number).toBeLessThan(at.get(name) as number)
  })
})

describe('a whole branch', () => {
  it('23,000 packages: the catalog is made once, a world is resolved in well under a tenth of a second', () => {
    const random = seededRandom(1)
    const list = Array.from({ length: 23_000 }, (_, at) => ({
      name: `pkg${at}`,
      provides: [`so:lib${at}.so.1=1.0`, `cmd:pkg${at}=1.0-r0`],
      depends: at > 100 ? Array.from({ length: 4 }, () => `so:lib${Math.floor(random() ** 3 * at)}.so.1`) : [],
      installIf: at % 10 === 9 ? [`pkg${at - 1}=1.0-r0`, 'pkg5'] : [],
    }))
    const catalog = createCatalog([repository(list)], 'x86_64')
    const world = Array.from({ length: 30 }, (_, at) => `pkg${at * 713 + 7}`)
    resolveWorld(world, catalog)
    const startedAt = performance.now()
    const closure = resolveWorld(world, catalog)
    const tookMs = performance.now() - startedAt
    expect(closure.missing).toEqual([])
    expect(closure.packages.length).toBeGreaterThan(500)
    // Measured: 40 ms on an idle core. A slow machine with two busy ones must pass too.
    expect(tookMs).toBeLessThan(2_000)
  })
})
