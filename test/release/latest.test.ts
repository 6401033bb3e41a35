import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/boot/error.ts'
import { readLatestReleases } from '../../src/release/latest.ts'
import { chooseSet, nameRelease, readArchiveName, readBootName, readFolderName } from '../../src/release/name.ts'
import { readChecksum } from '../../src/release/verify-archive.ts'
import { seededRandom } from '../support/random.ts'

const entry = `  branch: v3.22
  arch: x86_64
  version: 3.22.2
  flavor: alpine-netboot
  file: alpine-netboot-3.22.2-x86_64.tar.gz
  size: 210000000
  sha256: ${'a'.repeat(64)}
`
const list = `---\n-\n  flavor: alpine-standard\n  file: x.iso\n-\n${entry}`

describe('latest-releases.yaml', () => {
  it('names the netboot archive', () => {
    expect(readLatestReleases(list)).toEqual({
      branch: 'v3.22',
      arch: 'x86_64',
      version: '3.22.2',
      flavor: 'alpine-netboot',
      file: 'alpine-netboot-3.22.2-x86_64.tar.gz',
      size: 210_000_000,
      sha256: 'a'.repeat(64),
    })
    expect(readLatestReleases('- flavor: alpine-standard\n')).toBeUndefined()
  })

  it.each([
    ['no list', 'a: 1\n'],
    ['no YAML', '- [\n'],
    ['a file elsewhere', list.replace('alpine-netboot-3.22.2-x86_64.tar.gz', '../../etc/shadow')],
    ['a branch that is a path', list.replace('branch: v3.22', 'branch: ../v3.22')],
    ['no version', list.replace('3.22.2\n  flavor', 'x\n  flavor')],
    ['a checksum that is none', list.replace('a'.repeat(64), 'abc')],
  ])('is refused: %s', (_, text) => {
    expect(() => readLatestReleases(text)).toThrow(expect.objectContaining({ name: 'DecodeError', code: 'latest-releases' }))
  })

  it('throws nothing but DecodeError', () => {
    const random = seededRandom(5)
    for (let run = 0; run < 600; run++) {
      const text = [...list]
      for (let hit = 0; hit <= random() * 6; hit++) text[Math.floor(random() * text.length)] = String.fromCharCode(random() * 128)
      try {
        readLatestReleases(text.join(''))
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
      }
    }
  })
})

describe('names', () => {
  it('are read', () => {
    expect(readBootName('modloop-lts')).toEqual({ name: 'modloop-lts', part: 'modloop', flavour: 'lts' })
    expect(['config-lts', 'vmlinuz', 'vmlinuz-lts.sha256', 'x/vmlinuz-lts'].map(readBootName)).toEqual([undefined, undefined, undefined, undefined])
    expect(readArchiveName('alpine-netboot-3.23.0_rc1-aarch64.tar.gz')).toEqual({ image: 'netboot', version: '3.23.0_rc1', arch: 'aarch64' })
    expect(readArchiveName('netboot.tar.gz')).toEqual({})
    expect(readFolderName('/srv/v3.22/releases/x86_64/netboot-3.22.2')).toEqual({ version: '3.22.2', arch: 'x86_64' })
  })

  it('make an id', () => {
    expect(nameRelease({ version: '3.22.2', arch: 'x86_64', flavour: 'lts' })).toMatchObject({ id: 'alpine/3.22.2/x86_64/lts', branch: 'v3.22' })
    expect(nameRelease({ version: '20251008', arch: 'x86_64', flavour: 'lts' })).toMatchObject({ branch: 'edge' })
  })

  it('say which flavours there are', () => {
    expect(() => chooseSet(['vmlinuz-lts', 'initramfs-lts', 'modloop-lts'], 'virt', 'it')).toThrow('it has no flavour virt: take --flavour lts')
    expect(() => chooseSet(['vmlinuz-lts'], 'lts', 'it')).toThrow('it has no initramfs-lts, no modloop-lts')
  })
})

describe('checksum files', () => {
  const hex = 'ab'.repeat(32)
  it.each([
    ['with the name', `${hex}  a.tar.gz\n`, hex],
    ['for a binary', `${hex} *a.tar.gz\n`, hex],
    ['with a path', `${hex}  ./boot/a.tar.gz\n`, hex],
    ['in capitals, alone', `${hex.toUpperCase()}\n`, hex],
    ['among others', `${'cd'.repeat(32)}  b.tar.gz\n${hex}  a.tar.gz\n`, hex],
    ['of others', `${hex}  b.tar.gz\n`, undefined],
    ['that are pages', '<html>', undefined],
  ])('%s', (_, text, expected) => {
    expect(readChecksum(text, 'a.tar.gz', 'sha256')).toBe(expected)
  })
})
