import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { listRecipes, readRecipe } from '../../src/ipxe/recipe-file.ts'
import { authorityPem } from './support/certificate.ts'

const own = resolve(import.meta.dirname, '../../ipxe')
const folder = mkdtempSync(join(tmpdir(), 'bivouac-recipes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
write('ca.pem', authorityPem)
write('site.ipxe', '#!ipxe\necho site\n')
write(
  'base.yaml',
  'script: { template: boot, values: { base: http://a, tries: 2 } }\noptions: { VLAN_CMD: true, NTP_CMD: true }\nplatformOptions: { pcbios: { A: true } }\n',
)

describe('recipe files', () => {
  it('stand on others; later ones win, options and values are merged', async () => {
    const path = write(
      'mine.yaml',
      'extends: base\ntarget: bin/undionly.kpxe\nscript: { values: { base: http://b } }\noptions: { NTP_CMD: false }\nplatformOptions: { pcbios: { B: 1 }, efi: { C: true } }\n',
    )
    expect(await readRecipe(folder, path, { options: { PING_CMD: true } })).toMatchObject({
      target: 'bin/undionly.kpxe',
      script: { template: 'boot', values: { base: 'http://b', tries: '2' } },
      options: { VLAN_CMD: true, NTP_CMD: false, PING_CMD: true },
      platformOptions: { pcbios: { A: true, B: 1 }, efi: { C: true } },
    })
    expect((await readRecipe(folder, path, { image: { form: 'usb', of: ['bin/ipxe.usb'] } })).target).toBeUndefined()
  })

  it('name files beside them, which are taken in', async () => {
    const path = write('files.yaml', 'target: bin/ipxe.pxe\nscript: { file: site.ipxe }\ntrust: [{ file: ca.pem }]\n')
    expect(await readRecipe(folder, path)).toMatchObject({ script: { text: '#!ipxe\necho site\n' }, trust: [authorityPem] })
  })

  it.each<[string, string, string]>([
    ['a line that is no YAML', 'target: [', 'recipe-bad'],
    ['a list', '- a\n', 'recipe-bad'],
    ['a circle', 'extends: ./circle.yaml\n', 'recipe-bad'],
    ['a base that is not there', 'extends: nothing\n', 'recipe-missing'],
    ['a file that is not there', 'target: bin/ipxe.pxe\nscript: { file: absent.ipxe }\n', 'recipe-bad'],
    ['an alias bomb', `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(10)}]\nc: [${'*b,'.repeat(10)}]\n`, ''],
  ])('tell %s', async (name, text, code) => {
    const path = write(name === 'a circle' ? 'circle.yaml' : 'bad.yaml', text)
    await expect(readRecipe(folder, path)).rejects.toThrow(code === '' ? /alias/i : expect.objectContaining({ code }))
  })

  it('do not read files that overriding members name', async () => {
    await expect(readRecipe(folder, 'base', { target: 'bin/ipxe.pxe', script: { file: '/etc/hostname' } })).rejects.toMatchObject({
      code: 'recipe-bad',
    })
  })
})

describe("Bivouac's own recipes", () => {
  it('are all good, and there is one for each firmware', async () => {
    const all = await listRecipes(own)
    expect(all.map((one) => one.name)).toEqual([
      'cd',
      'ipxe-arm64',
      'ipxe-bios',
      'ipxe-i386',
      'ipxe-x86_64',
      'snponly-arm64',
      'snponly-i386',
      'snponly-x86_64',
      'undionly',
      'usb',
    ])
    for (const { name } of all)
      expect(await readRecipe(own, name)).toMatchObject({
        name,
        script: { template: 'boot' },
        slot: { scriptBytes: 8192 },
        options: { DOWNLOAD_PROTO_HTTPS: true, VLAN_CMD: true },
      })
  })
})
