import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { InputError } from '../../src/boot/error.ts'
import { checkValue, formatPath, MistakesError } from '../../src/store/mistake.ts'
import { findClosest } from '../../src/store/schema.ts'
import { maxYamlBytes, readYaml } from '../../src/store/yaml.ts'
import { seededRandom } from '../support/random.ts'

function read(text: string) {
  const yaml = readYaml(text, 'a.yaml')
  if ('mistakes' in yaml) throw new Error(yaml.mistakes[0]?.message)
  return yaml
}

describe('readYaml', () => {
  const values: [string, string, unknown][] = [
    ['nothing', '', null],
    ['only a comment', '# nothing\n', null],
    ['a MAC stays text', 'mac: 52:54:00:12:34:56', { mac: '52:54:00:12:34:56' }],
    ['no and on stay text', 'a: no\nb: on', { a: 'no', b: 'on' }],
    ['a few aliases', 'a: &x [1]\nb: *x', { a: [1], b: [1] }],
    ['merge keys are not special', 'a: &x {k: 1}\nb: {<<: *x}', { a: { k: 1 }, b: { '<<': { k: 1 } } }],
  ]
  it.each(values)('%s', (_, text, expected) => {
    expect(read(text).value).toEqual(expected)
  })

  const bad: [string, string, string, number][] = [
    ['a key twice', 'a: 1\nb: 2\na: 3\n', 'key-twice', 3],
    ['an open list', 'a: 1\nb: [1, 2\n', 'yaml', 3],
    ['a tab as indentation', 'a:\n\tb: 1\n', 'yaml-tab', 2],
    ['two documents', 'a: 1\n---\nb: 2\n', 'yaml', 2],
    ['an unknown alias', 'a: 1\nb: *nobody\n', 'yaml', 2],
    ['a colon too many', 'a: b: c\n', 'yaml', 1],
    [
      'aliases that multiply',
      `${'a'
        .split('')
        .map(() => 'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]')
        .join('')}`,
      'yaml',
      1,
    ],
    ['an alias that leads back to itself', 'a: &a [*a, *a, *a]\n', 'yaml', 1],
    ['too many levels', `a: ${'['.repeat(70)}${']'.repeat(70)}`, 'yaml', 1],
    ['more than fits', `a: ${'x'.repeat(maxYamlBytes)}`, 'too-big', 1],
    ['nesting without end', '['.repeat(100_000), 'yaml', 1],
  ]
  it.each(bad)('refuses %s with its line', (_, text, code, line) => {
    const yaml = readYaml(text, 'a.yaml')
    if (!('mistakes' in yaml)) throw new Error('it was accepted')
    expect(yaml.mistakes[0]).toMatchObject({ code, file: 'a.yaml', line })
  })

  it('knows the line of each key and entry, or of the nearest one above', () => {
    const { lineOf } = read('# head\na:\n  b:\n    - x\n    - y\n  "c d": 1\ne: &e\n  f: 1\ng: *e\nh: [1,\n  2]\n')
    const rows: [PropertyKey[], number][] = [
      [[], 1],
      [['a'], 2],
      [['a', 'b'], 3],
      [['a', 'b', 0], 4],
      [['a', 'b', 1], 5],
      [['a', 'b', 7], 3],
      [['a', 'c d'], 6],
      [['a', 'nope', 'deeper'], 2],
      [['g', 'f'], 8],
      [['h', 1], 11],
      [['nope'], 1],
    ]
    for (const [path, line] of rows) expect([path, lineOf(path)]).toEqual([path, line])
  })

  it('takes 20,000 random texts without throwing', () => {
    const random = seededRandom(9)
    const pieces = [
      'a',
      ': ',
      '- ',
      '\n',
      '  ',
      '[',
      ']',
      '{',
      '}',
      '&a ',
      '*a ',
      '"',
      "'",
      '|',
      '>',
      '#',
      '\t',
      '?',
      '!',
      '%',
      '---',
      '\0',
      'é',
      ',',
      '0x',
      '<<',
    ]
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: Math.floor(random() * 14) }, () => pieces[Math.floor(random() * pieces.length)]).join('')
      const yaml = readYaml(text, 'f')
      if ('mistakes' in yaml) expect(yaml.mistakes.length).toBeGreaterThan(0)
      else expect(yaml.lineOf(['a', 0, 'b'])).toBeGreaterThan(0)
    }
  })
})

describe('checkValue', () => {
  const schema = z.strictObject({
    port: z.number().int().min(1).max(65535).optional(),
    mode: z.enum(['server', 'proxy']).default('server'),
    names: z
      .array(z.string().regex(/^[a-z]+$/, 'small letters'))
      .max(2)
      .default([]),
    codes: z.record(z.string().regex(/^[0-9]+$/, 'a number as key'), z.string()).default({}),
    flag: z.boolean().optional(),
    list: z.array(z.strictObject({ name: z.string(), size: z.number().optional() })).default([]),
    kind: z
      .discriminatedUnion('kind', [z.strictObject({ kind: z.literal('disk') }), z.strictObject({ kind: z.literal('net'), host: z.string() })])
      .optional(),
    text: z.string().min(2).max(4).optional(),
    match: z.union([z.record(z.string(), z.union([z.string(), z.array(z.string())])), z.array(z.record(z.string(), z.string()))]).optional(),
    own: z
      .string()
      .refine(() => false, { message: 'never right', params: { code: 'own-code' } })
      .optional(),
  })
  const rows: [string, unknown, string, string, RegExp][] = [
    ['a misspelt key', { prot: 1 }, 'unknown-key', 'prot', /there is no key "prot" here; did you mean "port"\? \(allowed: port, mode, names/],
    ['a strange key', { zzzzzz: 1 }, 'unknown-key', 'zzzzzz', /^there is no key "zzzzzz" here \(allowed: port/],
    ['an unknown key in a list', { list: [{ name: 'a', siz: 1 }] }, 'unknown-key', 'list[0].siz', /did you mean "size"\? \(allowed: name, size\)/],
    ['an unknown key of one kind', { kind: { kind: 'net', host: 'a', hots: 1 } }, 'unknown-key', 'kind.hots', /allowed: kind, host\)/],
    ['__proto__', JSON.parse('{"__proto__": 1}'), 'unknown-key', '__proto__', /there is no key "__proto__"/],
    ['text for a number', { port: '80' }, 'wrong-type', 'port', /^must be a number, not "80"$/],
    ['a fraction', { port: 1.5 }, 'wrong-type', 'port', /^must be a whole number, not 1.5$/],
    ['too big', { port: 70000 }, 'out-of-range', 'port', /^must be at most 65535, not 70000$/],
    ['too small', { port: 0 }, 'out-of-range', 'port', /^must be at least 1, not 0$/],
    [
      'a word that is nearly right',
      { mode: 'servr' },
      'not-allowed',
      'mode',
      /^"servr" is not allowed; did you mean server\? allowed: server, proxy$/,
    ],
    ['a word that is not', { mode: 'x' }, 'not-allowed', 'mode', /^"x" is not allowed; allowed: server, proxy$/],
    ['a number for text', { names: [525400123456] }, 'wrong-type', 'names[0]', /^must be text, not 525400123456: put it in quotes$/],
    ['the wrong form', { names: ['a', 'B'] }, 'bad-value', 'names[1]', /^"B" is not right: small letters$/],
    ['too many', { names: ['a', 'b', 'c'] }, 'out-of-range', 'names', /^must have at most 2 entries, not 3$/],
    ['a bad key of a table', { codes: { x: 'a' } }, 'bad-key', 'codes.x', /^a number as key$/],
    ['text for true or false', { flag: 'yes' }, 'wrong-type', 'flag', /^must be true or false, not "yes"$/],
    ['a block for a list', { list: {} }, 'wrong-type', 'list', /^must be a list, not a block of keys$/],
    ['nothing for a list', { list: null }, 'wrong-type', 'list', /^must be a list, not nothing$/],
    ['a missing key', { list: [{}] }, 'missing-key', 'list[0].name', /^is missing; it is text$/],
    ['a kind that is none', { kind: { kind: 'nte' } }, 'not-allowed', 'kind.kind', /did you mean net\? allowed: disk, net$/],
    ['no kind', { kind: {} }, 'missing-key', 'kind.kind', /^is missing; allowed: disk, net$/],
    ['a placeholder that YAML takes for a list', { text: ['serveur_tftp'] }, 'placeholder', 'text', /^"\[serveur_tftp\]" is a placeholder/],
    ['a forgotten placeholder', { text: '<host>', port: 1 }, 'placeholder', 'text', /^"<host>" is a placeholder: put the real value in its place$/],
    ['short text', { text: 'a' }, 'out-of-range', 'text', /^must have at least 2 characters, not 1$/],
    ['none of several types', { match: 5 }, 'wrong-type', 'match', /^must be a block of keys or a list, not 5$/],
    ['something deep in one of several forms', { match: { a: ['x', 3] } }, 'wrong-type', 'match.a[1]', /^must be text, not 3: put it in quotes$/],
    ['none of several types, deep down', { match: { a: 3 } }, 'wrong-type', 'match.a', /^must be text or a list, not 3$/],
    ['a rule of its own', { own: 'a' }, 'own-code', 'own', /^never right$/],
    ['a list for the whole', [], 'wrong-type', '', /^must be a block of keys, not a list$/],
    ['nothing for the whole', null, 'wrong-type', '', /^must be a block of keys, not nothing$/],
  ]
  it.each(rows)('says what is wrong with %s', (_, value, code, path, message) => {
    const outcome = checkValue(schema, value, (place) => ({ path: formatPath(place) }))
    if (!('mistakes' in outcome)) throw new Error('it was accepted')
    expect(outcome.mistakes.map((mistake) => [mistake.code, mistake.path])).toEqual([[code, path]])
    expect(outcome.mistakes[0]?.message).toMatch(message)
  })

  it('tells all mistakes at once, as one error that can be read', () => {
    const outcome = checkValue(schema, { port: 'x', mode: 'y', a: 1 }, (path) => ({ file: 'b.yaml', line: 3, path: formatPath(path) }))
    if (!('mistakes' in outcome)) throw new Error('it was accepted')
    const error = new MistakesError('b.yaml', outcome.mistakes)
    expect(error).toBeInstanceOf(InputError)
    expect(error.message.split('\n').length).toBe(4)
    expect(error.message).toMatch(/^b\.yaml: 3 mistakes\n {2}b\.yaml:3: port: must be a number, not "x"\n {2}b\.yaml:3: mode: /)
    expect(new MistakesError('x', outcome.mistakes.slice(0, 1)).message).toBe('b.yaml:3: port: must be a number, not "x"')
  })
})

describe('findClosest', () => {
  const known = ['http', 'port', 'address', 'leaseSeconds', 'withoutOverlay']
  const rows: [string, string | undefined][] = [
    ['prot', 'port'],
    ['pxxx', undefined],
    ['ports', 'port'],
    ['Port', 'port'],
    ['adress', 'address'],
    ['lease-seconds', 'leaseSeconds'],
    ['htpt', 'http'],
    ['lease', undefined],
    ['x', undefined],
    ['y'.repeat(61), undefined],
  ]
  it.each(rows)('%s → %s', (word, expected) => {
    expect(findClosest(word, known)).toBe(expected)
  })
})
