// docs/configuration.md is the reference of all keys: its examples are read, and its tables are compared with the schema.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { firmwareByArch } from '../../src/boot/firmware.ts'
import { loadConfig } from '../../src/config.ts'
import { configKeys } from '../../src/config/key.ts'
import { configSchema } from '../../src/config/schema.ts'
import { shapeOf, typeOf, unwrap } from '../../src/store/schema.ts'
import { makeScratch } from '../support/scratch.ts'
import { writeFileSync } from 'node:fs'

const readDoc = (name: string) => readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8')
const doc = readDoc('configuration.md')
/** Rows of tables whose first cell is a key in backquotes: key → further cells. */
const rows = new Map(
  [...doc.matchAll(/^\| `([A-Za-z[\].]+)` \|(.*)\|$/gm)].map(([, key = '', rest = '']) => [
    key,
    rest.split(' | ').map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')),
  ]),
)
const listBlocks = (text: string) => [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block = '']) => block)

describe('docs/configuration.md', () => {
  it.each([...listBlocks(doc), ...listBlocks(readDoc('networks.md'))].map((block) => [block.split('\n').slice(0, 2).join(' '), block]))(
    'its example is a right configuration: %s',
    async (_, block) => {
      const cwd = await makeScratch()
      writeFileSync(join(cwd, 'bivouac.yaml'), block)
      expect(loadConfig({ flags: {}, env: {}, cwd }).lints).toEqual([])
    },
  )

  it('has examples', () => {
    expect(listBlocks(doc).length).toBeGreaterThanOrEqual(4)
  })

  it.each(configKeys.map((key) => [key.name, key] as const))('documents %s with its variable and default', (name, { variable }) => {
    const cells = rows.get(name)
    expect(cells?.at(-1)).toBe(variable)
    const { values } = loadConfig({ flags: {}, env: {}, cwd: '/nowhere' })
    const inForce = values.find(({ key }) => key === name)?.value
    const shown = typeof inForce === 'object' ? JSON.stringify(inForce) : String(inForce).replace('/nowhere/', './')
    const told = cells?.[0] === 'none' ? 'undefined' : ({ 'tftp.port': '6969', 'packages.root': './depot/apk' }[name] ?? cells?.[0])
    expect(told).toBe(shown)
  })

  const inner: [string, string[]][] = [
    ['networks[]', keysOfEntry('networks')],
    ['mirror.sync[]', keysOfEntry('mirror.sync')],
    ['quirks[]', keysOfEntry('quirks').filter((key) => key !== 'when')],
    ['quirks[].when', ['oui', 'vendorClass', 'arch']],
  ]
  it.each(inner)('documents each key of %s', (path, keys) => {
    expect(keys.length).toBeGreaterThan(2)
    for (const key of keys) expect(rows.has(`${path}.${key}`), `${path}.${key}`).toBe(true)
  })

  it('documents no key that is not there', () => {
    const known = [...configKeys.map(({ name }) => name), ...inner.flatMap(([path, keys]) => keys.map((key) => `${path}.${key}`))]
    expect([...rows.keys()].filter((key) => !known.includes(key) && !isCode(key))).toEqual([])
  })

  it('names every firmware', () => {
    for (const [code, { name }] of firmwareByArch) {
      const word = name
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/-$/, '')
      expect(doc, name).toMatch(new RegExp(`\\| ${code} \\| \`${word}\` \\|`))
    }
  })

  it('names every code of the lints', () => {
    const sources = [
      'src/config/lint.ts',
      'src/config/lint-record.ts',
      'src/config/lint-release.ts',
      'src/config/schema.ts',
      'src/boot/network.ts',
      'src/store/assemble.ts',
      'src/store/release.ts',
    ]
    const codes = sources.flatMap((file) => {
      const text = readFileSync(join(import.meta.dirname, '../..', file), 'utf8')
      return [...text.matchAll(/(?:\b(?:error|warning|refuse)\(|'(?:error|warning)', |code: )\s*'([a-z]+(?:-[a-z]+)+)'/g)].map(
        ([, code = '']) => code,
      )
    })
    expect(new Set(codes).size).toBeGreaterThan(40)
    expect([...new Set(codes)].filter((code) => !doc.includes(`\`${code}\``) && code !== 'too-many-folders')).toEqual([])
  })
})

function keysOfEntry(list: string): string[] {
  const schema = list.split('.').reduce<Parameters<typeof shapeOf>[0] | undefined>((inner, part) => inner && shapeOf(inner)[part], configSchema)
  if (!schema || typeOf(schema) !== 'array') throw new Error(`${list} is no list`)
  const { element } = unwrap(schema)._zod.def as unknown as { element: Parameters<typeof shapeOf>[0] }
  return Object.keys(shapeOf(element))
}

/** Rows of the table of codes. */
function isCode(key: string): boolean {
  return /^[a-z]+(-[a-z]+)+$/.test(key)
}
