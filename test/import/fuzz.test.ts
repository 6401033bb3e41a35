// Hostile and broken text through every parser of the import: none throws, hangs or answers without bounds.
import { describe, expect, it } from 'vitest'
import { nameSchema } from '../../src/boot/field.ts'
import { makeName } from '../../src/import/draft.ts'
import { parseMenu } from '../../src/import/menu.ts'
import { profileOfEntry } from '../../src/import/profile.ts'
import { defaultEntry, parsePxelinux } from '../../src/import/pxelinux-file.ts'
import { mergeSettings } from '../../src/import/setting.ts'
import { seededRandom } from '../support/random.ts'

const words = [
  'DEFAULT',
  'LABEL',
  'kernel',
  'initrd',
  'append',
  'localboot',
  'ipappend',
  'text',
  'endtext',
  'item',
  'choose',
  '--default',
  '--gap',
  '--key',
  'set',
  'goto',
  ':a',
  'a',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's own marker
  '${a}',
  '${',
  '||',
  '&&',
  'module',
  'chain',
  'exit',
  'shell',
  'http://h/x',
  '../../etc/passwd',
  '\u0000',
  '#',
  '',
  '=',
  'initrd=a,b',
  '<%',
  'é',
  '/',
  '::x',
  'x'.repeat(300),
] // prettier-ignore

function makeText(random: () => number): string {
  const pick = (): string => words[Math.floor(random() * words.length)] as string
  return Array.from({ length: Math.floor(random() * 40) }, () =>
    Array.from({ length: Math.floor(random() * 6) }, pick).join(random() < 0.9 ? ' ' : '\t'),
  ).join(random() < 0.9 ? '\n' : '\r\n')
}

describe('parsers of an import', () => {
  it('take anything', () => {
    const random = seededRandom(5)
    for (let run = 0; run < 5000; run++) {
      const text = makeText(random)
      const file = parsePxelinux(text)
      for (const entry of file.entries) {
        expect(entry.initrd.length).toBeLessThanOrEqual(16)
        profileOfEntry(entry, 'base')
      }
      defaultEntry(file)
      const menu = parseMenu(text)
      for (const { action } of menu.labels.values())
        if (action?.kind === 'boot') expect(action.initrd.length + action.modules.length).toBeLessThanOrEqual(16)
    }
  })

  it('are done with long text soon', () => {
    const started = performance.now()
    // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's own markers
    const long = `set a ${'${a}'.repeat(2000)}\n${'item '.repeat(20_000)}\n${'kernel ${a} '.repeat(20_000)}\n`
    parseMenu(`:x\n${long.repeat(8)}`)
    parsePxelinux(`LABEL x\nAPPEND ${'a '.repeat(500_000)}\n${'LABEL y\n'.repeat(100_000)}`)
    expect(performance.now() - started).toBeLessThan(20_000)
  })

  it('make names that are names, each once', () => {
    const random = seededRandom(7)
    const taken = new Set<string>()
    for (let run = 0; run < 2000; run++) {
      const text = Array.from({ length: Math.floor(random() * 90) }, () => String.fromCodePoint(Math.floor(random() * 0x2ff))).join('')
      const name = makeName(text, (one) => taken.has(one))
      expect(nameSchema.safeParse(name).success && !taken.has(name)).toBe(true)
      taken.add(name)
    }
  })
})

describe('settings', () => {
  it('are added; what is there stays, comments too', () => {
    const kept: string[] = []
    const text = '# ours\npilot: { port: 99 } # old\npower:\n  adapters:\n    - name: mock # by hand\n'
    const wanted = { pilot: { file: 'x.yml', port: 3478 }, power: { adapters: [{ name: 'mock', on: { cmd: 'x' } }, { name: 'two' }] } }
    const changed = mergeSettings(text, wanted, 'bivouac.yaml', kept) ?? ''
    expect(kept).toEqual(['the setting pilot.port is there and says otherwise'])
    expect(changed).toMatch(/^# ours\npilot: \{ ?port: 99, file: x.yml ?\} # old\n/)
    expect(changed).toContain('name: two')
    expect(mergeSettings(changed, { pilot: { file: 'x.yml' }, power: wanted.power }, 'bivouac.yaml', [])).toBeUndefined()
  })

  it('are refused for a file that is no YAML', () => {
    expect(() => mergeSettings('a: [', { b: 1 }, 'bivouac.yaml', [])).toThrow(/mend it by hand/)
  })
})
