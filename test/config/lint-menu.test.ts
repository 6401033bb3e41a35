import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lintHandMenus } from '../../src/config/hand-menu.ts'
import { lintMenuScript } from '../../src/config/lint-menu.ts'
import { formatFinding } from '../../src/store/mistake.ts'
import { readdirSync, readFileSync } from 'node:fs'
import { seededRandom } from '../support/random.ts'
import { makeScratch } from '../support/scratch.ts'

const lint = (text: string, files: readonly string[] = []): string[] =>
  lintMenuScript(text, 'menu.ipxe', { hasFile: (path) => files.includes(path) }).map(formatFinding)

// The mistakes of the original menu: a label without its colon, and a default that names no item.
const original = `#!ipxe
:MENU
menu Netboot
item --gap -- ---- boot ----
item shell      ipxe shell
item debian-4.14  Debian, kernel 4.14.y
item xen        Xen, dom0
choose --default return --timeout 3000 target && goto \${target}

:shell
shell
goto MENU

debian-4.14
kernel vmlinuz-4.14.y root=/dev/nfs nfsroot=10.9.0.1:/srv/nfs/debian ip=dhcp console=ttyS0,115200n8
boot
goto MENU

:xen
kernel xen-4.8-amd64.gz dom0_mem=512M com1=115200,8n1 console=com1
module vmlinuz-xen root=/dev/nfs
boot
goto MENU
`

describe('menus by hand', () => {
  it("reports the original's two mistakes with their lines, and no others", () => {
    expect(lint(original, ['vmlinuz-4.14.y', 'xen-4.8-amd64.gz', 'vmlinuz-xen'])).toEqual([
      expect.stringMatching(/^error menu-default: menu\.ipxe:8: --default return names no item/),
      expect.stringMatching(/^error label-colon: menu\.ipxe:14: debian-4\.14 is no command/),
    ])
  })

  it('finds nothing once they are mended', () => {
    const mended = original.replace('\ndebian-4.14\nkernel', '\n:debian-4.14\nkernel').replace('--default return', '--default shell')
    expect(lint(mended, ['vmlinuz-4.14.y', 'xen-4.8-amd64.gz', 'vmlinuz-xen'])).toEqual([])
    expect(lint(mended)).toEqual([
      expect.stringMatching(/^error path-unresolved: menu\.ipxe:15: there is no vmlinuz-4\.14\.y/),
      expect.stringMatching(/^error path-unresolved: menu\.ipxe:20: /),
      expect.stringMatching(/^error path-unresolved: menu\.ipxe:21: /),
    ])
  })

  // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's own marker
  const base = '#!ipxe\n:top\nitem a A\nchoose x && goto ${x}\n'
  it.each<[string, string, RegExp[]]>([
    ['an item without label', `${base}goto top\n`, [/^error item-label: menu\.ipxe:3: item a has no label/]],
    ['a jump to nowhere', `${base}:a\nshell || goto lost\ngoto top\n`, [/^error goto-label: menu\.ipxe:6: goto lost/]],
    ['a kernel without boot', `${base}:a\nkernel http://h/k || goto top\ngoto top\n`, [/^error boot-missing: menu\.ipxe:6: item a/]],
    ['a label that nobody knows', `${base}:a\nexit\n:b\ngoto top\n`, [/^warning label-unused: menu\.ipxe:7: /]],
    ['a label twice', `${base}:a\nexit\n:a\ngoto top\n`, [/^error label-twice: menu\.ipxe:7: /]],
    ['an item that falls through', `${base}:a\necho hello\n:b\ngoto b\ngoto top\n`, [/^warning item-falls: menu\.ipxe:5: /]],
    ['a URL without host', `${base}:a\nchain http:/x || goto top\n`, [/^error path-unresolved: menu\.ipxe:6: http:\/x/]],
    [
      'a path by a setting',
      `set root boot\n${base}:a\nchain \${root}/x.ipxe || goto top\n`,
      [/^error path-unresolved: menu\.ipxe:7: there is no boot\/x\.ipxe/],
    ],
    [
      'a default by a setting',
      `set d b\n#!ipxe\n:top\nitem a A\nchoose --default \${d} x && goto \${x}\n:a\ngoto top\n`,
      [/^error menu-default: menu\.ipxe:5: /],
    ],
  ])('%s', (_, text, expected) => {
    expect(lint(text)).toEqual(expected.map((one) => expect.stringMatching(one)))
  })

  it('says nothing of what only the station knows, of keys and gaps, and of scripts that are no menu', () => {
    expect(lint(`${base.replace('item a A', 'item --gap hello\nitem --key q a A')}:a\nchain http://\${next-server}/x || goto top\n`)).toEqual([])
    expect(lint('#!ipxe\nkernel nobody\n')).toEqual([])
  })

  it('finds nothing in the menus that we render ourselves', () => {
    const golden = join(import.meta.dirname, '../golden')
    for (const name of readdirSync(golden).filter((one) => /^menu.*\.ipxe\.txt$/.test(one)))
      expect(lintMenuScript(readFileSync(join(golden, name), 'utf8'), name).filter(({ severity }) => severity === 'error')).toEqual([])
  })

  it('survives any text', () => {
    const random = seededRandom(7)
    const words = ['item', 'choose', '--default', ':a', 'a', 'goto', '${', '}', '||', '\n', 'kernel', 'set', '\\\n', 'module', '#']
    for (let round = 0; round < 2000; round++) {
      const text = Array.from({ length: 30 }, () => words[Math.floor(random() * words.length)]).join(random() < 0.5 ? ' ' : '')
      lintMenuScript(text, 'x', { hasFile: () => false })
    }
  })

  it('are found in the depot, but not among releases and packages', async () => {
    const depot = await makeScratch()
    for (const path of ['menu.ipxe', 'lab/menu.ipxe', 'releases/x/menu.ipxe', '.hidden/menu.ipxe']) {
      await mkdir(dirname(join(depot, path)), { recursive: true })
      await writeFile(join(depot, path), original)
    }
    const files = lintHandMenus(depot).map(({ file }) => file)
    expect([...new Set(files)].sort()).toEqual(['lab/menu.ipxe', 'menu.ipxe'])
  })
})
