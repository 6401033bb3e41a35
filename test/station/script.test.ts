import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { InputError } from '../../src/boot/error.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import { createScripts } from '../../src/station/script.ts'
import { line, literal, plain, print, url, word } from '../../src/station/text.ts'
import { seededRandom } from '../support/random.ts'
import { missingTools } from '../support/tool.ts'

const project = join(import.meta.dirname, '../..')
const depot = mkdtempSync(join(tmpdir(), 'bvc-scripts-'))
const own = mkdtempSync(join(tmpdir(), 'bvc-own-'))
afterAll(() => [depot, own].map((folder) => rmSync(folder, { recursive: true })))

let clock = 1_000_000
let events: BootEvent[] = []
const create = (folders = [own]) => createScripts({ depot, folders, now: () => clock, emit: (event) => events.push(event) })
/** A template of the operator's; the clock goes on, so that it is seen. */
function put(name: string, text: string): void {
  mkdirSync(join(depot, 'templates'), { recursive: true })
  writeFileSync(join(depot, 'templates', `${name}.ejs`), text)
  clock += 1000
}
beforeEach(() => {
  rmSync(join(depot, 'templates'), { recursive: true, force: true })
  rmSync(own, { recursive: true })
  mkdirSync(own)
  writeFileSync(join(own, 'hello.ejs'), "hello <%= it.name %> <%- include('tail') %>\n")
  writeFileSync(join(own, 'tail.ejs'), 'tail of ours\n')
  events = []
})
const failure = (run: () => unknown): InputError => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(InputError)
    return error as InputError
  }
  throw new Error('it was rendered')
}

describe('values in scripts', () => {
  it.each(['a', 'http://10.9.0.1:8080/x?a=1&b=2', '52:54:00:12:34:56', 'x=y', '{MAC}', 0, 15])('prints %j', (value) => {
    expect(print(value)).toBe(String(value))
  })

  it.each([
    undefined,
    null,
    '',
    'two words',
    'x\ny',
    'x\r',
    'a\tb',
    `\${net0/mac}`,
    '$',
    'é',
    '\0',
    'a\\',
    '"',
    "'",
    '`',
    '||',
    '&&',
    '#x',
    {},
    [],
    true,
    Number.NaN,
    1.5,
    () => 1,
  ])('refuses %j', (value) => {
    expect(failure(() => print(value)).code).toBe('script-value')
  })

  it('widens on purpose only', () => {
    expect(print(line('two words'))).toBe('two words')
    expect(print(literal(`\${mac}`))).toBe(`\${mac}`)
    expect(print(url('http://10.9.0.1:8080/a%20b'))).toBe('http://10.9.0.1:8080/a%20b')
    for (const bad of ['two  words', ' x', `a \${mac}`, 'a || b', 'a && b', 'x #y', 'a\nb', ''])
      expect(failure(() => line(bad)).code).toBe('script-value')
    for (const bad of ['ftp://x/', '//x', 'http://x/ y', `http://\${x}/`, 'http://x/"', 'javascript:1'])
      expect(failure(() => url(bad)).code).toBe('script-value')
    expect(failure(() => word('a b')).code).toBe('script-value')
  })

  it('makes a harmless line of any text, for 20,000 random texts', () => {
    const random = seededRandom(17)
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: Math.floor(random() * 40) }, () =>
        random() < 0.2 ? `\${ || && # \n \\`.charAt(Math.floor(random() * 14)) : String.fromCharCode(Math.floor(random() * 300)),
      ).join('')
      expect(print(plain(text))).toMatch(/^[A-Za-z0-9 .,:;/_()+=@%!?<>-]{1,300}$/)
    }
  })
})

describe('templates', () => {
  it('render ours, with partials', () => {
    expect(create().render('hello', { name: 'you' })).toBe('hello you tail of ours\n')
  })

  it('never print what is missing, and tell where', () => {
    const error = failure(() => create().render('hello', {}))
    expect(error).toMatchObject({ code: 'template-failed', place: { file: 'hello.ejs', line: 1 } })
    expect(error.message).toContain('undefined')
  })

  it('that do not exist are told by name', () => {
    expect(failure(() => create().render('nothing', {}))).toMatchObject({ code: 'template-missing' })
    writeFileSync(join(own, 'hello.ejs'), "<%- include('../../etc/passwd') %>")
    expect(failure(() => create().render('hello', {})).message).toContain('there is no template ../../etc/passwd')
  })

  it('are strict: nothing is taken from the air', () => {
    writeFileSync(join(own, 'hello.ejs'), '<% leaked = 1 %><%= it.name %>')
    expect(failure(() => create().render('hello', { name: 'x' })).message).toContain('leaked is not defined')
  })
})

describe("the operator's templates", () => {
  it('replace ours by name, are seen without a restart, and give ours back when they go', () => {
    const scripts = create()
    expect(scripts.render('hello', { name: 'you' })).toContain('tail of ours')
    put('hello', 'mine <%= it.name %>')
    expect(scripts.render('hello', { name: 'you' })).toBe('mine you')
    put('hello', 'changed <%= it.name %>')
    expect(scripts.render('hello', { name: 'you' })).toBe('changed you')
    rmSync(join(depot, 'templates/hello.ejs'))
    clock += 1000
    expect(scripts.render('hello', { name: 'you' })).toContain('tail of ours')
    expect(events).toEqual([])
  })

  it('may include their own partials and ours; ours include ours alone', () => {
    put('hello', "mine <%- include('tail') %>, <%- include('other') %>")
    put('other', 'other')
    put('tail', 'my tail')
    writeFileSync(join(own, 'plain.ejs'), "<%- include('tail') %>")
    const scripts = create()
    expect(scripts.render('hello', {})).toBe('mine my tail, other')
    expect(scripts.render('plain', {})).toBe('tail of ours')
    put('tail', 'my new tail')
    expect(scripts.render('hello', {})).toBe('mine my new tail, other')
  })

  it.each([
    ['an open tag', 'one\ntwo <%= it.name\nthree', 2],
    ['bad code', 'one\n\n<% if (it.name { %>x<% } %>', 3],
    ['a block that is not closed', 'one\n<% if (it.name) { %>\nx', undefined],
  ])('with %s are reported with file and line, and the last good one stays', (_, text, line) => {
    const scripts = create()
    put('hello', 'good')
    expect(scripts.render('hello', {})).toBe('good')
    put('hello', text)
    expect(scripts.render('hello', {})).toBe('good')
    expect(scripts.render('hello', {})).toBe('good')
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({ kind: 'record-bad', detail: { file: 'templates/hello.ejs', ...(line && { line }) } })
    expect(scripts.problems()).toMatchObject([{ file: 'templates/hello.ejs', ...(line && { line }) }])
    put('hello', 'better')
    expect(scripts.render('hello', {})).toBe('better')
    expect(events.at(-1)).toMatchObject({ kind: 'record-good', detail: { file: 'templates/hello.ejs' } })
    expect(scripts.problems()).toEqual([])
  })

  it('that are broken from the start leave ours in force', () => {
    put('hello', '<% broken')
    expect(create().render('hello', { name: 'you' })).toContain('tail of ours')
  })

  it('that fail while they run are replaced by ours, and reported once a minute with the line', () => {
    put('hello', 'one\ntwo\n<%= it.nothing.there %>')
    const scripts = create()
    expect(scripts.render('hello', { name: 'you' })).toContain('tail of ours')
    expect(scripts.render('hello', { name: 'you' })).toContain('tail of ours')
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({ kind: 'record-bad', detail: { file: 'templates/hello.ejs', line: 3 } })
    expect(scripts.problems()).toMatchObject([{ file: 'templates/hello.ejs', line: 3 }])
    const generation = scripts.generation()
    clock += 60_000
    expect(scripts.generation()).toBe(generation)
    scripts.render('hello', { name: 'you' })
    expect(events).toHaveLength(2)
  })

  it('that include themselves end in an error, not in the air', () => {
    put('hello', "<%- include('hello') %>")
    expect(create().render('hello', { name: 'you' })).toContain('tail of ours')
    expect(events).toHaveLength(1)
  })

  it('that come to no end are stopped, and not run again until they are changed', () => {
    put('hello', 'mine <% for (;;) {} %>')
    put('alone', '<% for (;;) {} %>')
    const scripts = create()
    expect(scripts.render('hello', { name: 'x' })).toBe('hello x tail of ours\n')
    expect(failure(() => scripts.render('alone', {})).code).toBe('template-endless')
    const before = performance.now()
    const generation = scripts.generation()
    for (let round = 0; round < 20; round++) {
      expect(scripts.render('hello', { name: 'x' })).toBe('hello x tail of ours\n')
      expect(failure(() => scripts.render('alone', {})).code).toBe('template-missing')
      clock += 100_000
    }
    expect(performance.now() - before).toBeLessThan(400)
    expect(scripts.generation()).toBe(generation)
    expect(events.map(({ kind, detail }) => [kind, detail?.file])).toEqual([
      ['record-bad', 'templates/hello.ejs'],
      ['record-bad', 'templates/alone.ejs'],
    ])
    expect(scripts.problems().map(({ message }) => message)).toEqual(Array(2).fill(expect.stringContaining('stopped after 500 ms')))
    put('hello', 'mended')
    expect(scripts.render('hello', {})).toBe('mended')
    expect(scripts.problems()).toHaveLength(1)
  })

  it('without one of ours behind them fail with file and line', () => {
    put('special', '\n<%= it.nothing %>')
    expect(failure(() => create().render('special', {}))).toMatchObject({
      code: 'template-failed',
      place: { file: 'templates/special.ejs', line: 2 },
    })
  })

  it('that anybody may write are not run', () => {
    put('hello', 'evil')
    chmodSync(join(depot, 'templates/hello.ejs'), 0o666)
    const scripts = create()
    expect(scripts.render('hello', { name: 'you' })).toContain('tail of ours')
    expect(String(events[0]?.detail?.reason)).toContain('anybody may write it')
    chmodSync(join(depot, 'templates/hello.ejs'), 0o644)
    clock += 1000
    expect(scripts.render('hello', { name: 'you' })).toBe('evil')
  })

  it('in a folder that anybody may write are not run', () => {
    put('hello', 'evil')
    chmodSync(join(depot, 'templates'), 0o777)
    expect(create().render('hello', { name: 'you' })).toContain('tail of ours')
  })

  it.skipIf(missingTools('root').length > 0)('of a stranger are not run; those of the depot’s owner are', () => {
    put('hello', 'evil')
    chownSync(join(depot, 'templates/hello.ejs'), 12345, 0)
    expect(create().render('hello', { name: 'you' })).toContain('tail of ours')
    expect(String(events[0]?.detail?.reason)).toContain('belongs to user 12345')
    chownSync(depot, 12345, 0)
    clock += 1000
    expect(create().render('hello', { name: 'you' })).toBe('evil')
    chownSync(depot, 0, 0)
  })
})

describe('our own templates', () => {
  const files = [
    ...readdirSync(join(project, 'scripts-templates')).map((name) => join('scripts-templates', name)),
    ...readdirSync(join(project, 'ipxe')).map((name) => join('ipxe', name)),
  ].filter((name) => name.endsWith('.ejs'))

  it.each(files)('%s prints nothing unchecked and joins no value to a marker', (name) => {
    const text = readFileSync(join(project, name), 'utf8')
    for (const raw of text.matchAll(/<%-(.*?)%>/gs)) expect(raw[1]?.trim()).toMatch(/^include\('[a-z]+'\)$/)
    expect(text).not.toMatch(/\$<%/)
    expect(text).not.toMatch(/\$\{[^}]*<%/)
    expect(text).not.toMatch(/process|require|import|globalThis|Function|constructor/)
  })

  it('all compile', () => {
    expect(() => create([join(project, 'ipxe'), join(project, 'scripts-templates')])).not.toThrow()
  })
})
