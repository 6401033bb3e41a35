import { describe, expect, it } from 'vitest'
import { buildKernelLine, fileUrl, type KernelLine, maxLineBytes } from '../../src/alpine/cmdline.ts'
import { type Mac, parseMac } from '../../src/boot/address.ts'
import { InputError } from '../../src/boot/error.ts'
import { seededRandom } from '../support/random.ts'

const mac = parseMac('52:54:00:12:34:56')
const base = 'http://10.9.0.1:8080'
const document: KernelLine = {
  overlay: `${base}/configs/52-54-00-12-34-56.tar.gz`,
  sshKey: `${base}/sshkeys.pub`,
  modloop: `${base}/modloop-virt`,
  modules: ['loop', 'squashfs', 'sd-mod', 'usb-storage'],
  alpineDev: 'nfs:10.9.0.1:/srv/pxe',
  repositories: [`${base}/apk/v3.15/main`],
  bootif: mac,
  initrd: 'initramfs-virt',
  arguments: ['console=ttyS0,115200', 'NAME_CONFIG=xl', 'NAME_CONFIG=nomade'],
}

const failure = (line: KernelLine, reserveBytes?: number): InputError => {
  try {
    buildKernelLine(line, reserveBytes)
  } catch (error) {
    expect(error).toBeInstanceOf(InputError)
    return error as InputError
  }
  throw new Error('it was taken')
}

describe('the kernel line', () => {
  it("has the document's order, then BOOTIF, initrd and the free arguments as given", () => {
    expect(buildKernelLine(document).split(' ')).toEqual([
      `apkovl=${base}/configs/52-54-00-12-34-56.tar.gz`,
      'ip=dhcp',
      `ssh_key=${base}/sshkeys.pub`,
      `modloop=${base}/modloop-virt`,
      'modules=loop,squashfs,sd-mod,usb-storage',
      'alpine_dev=nfs:10.9.0.1:/srv/pxe',
      `alpine_repo=${base}/apk/v3.15/main`,
      'BOOTIF=01-52-54-00-12-34-56',
      'initrd=initramfs-virt',
      'console=ttyS0,115200',
      'NAME_CONFIG=xl',
      'NAME_CONFIG=nomade',
    ])
  })

  it('leaves out what is absent or empty', () => {
    expect(buildKernelLine({ modules: [], repositories: [] })).toBe('ip=dhcp')
  })

  it('leaves out what is to be omitted, but no free argument of that name', () => {
    const line = { modloop: 'http://a/modloop-lts', modules: ['loop'], initrd: 'initramfs-lts', arguments: ['ip=10.9.0.5::10.9.0.1:255.255.255.0'] }
    expect(buildKernelLine({ ...line, omit: ['ip', 'initrd', 'modloop'] })).toBe('modules=loop ip=10.9.0.5::10.9.0.1:255.255.255.0')
  })

  it('refuses an overlay without a network to fetch it over', () => {
    const line = { overlay: 'http://a/x.tar.gz', omit: ['ip'] }
    expect(() => buildKernelLine(line)).toThrow(expect.objectContaining({ code: 'kernel-ip' }))
    expect(buildKernelLine({ ...line, arguments: ['ip=dhcp'] })).toBe('apkovl=http://a/x.tar.gz ip=dhcp')
  })

  it('joins several repositories with commas, for the init of Alpine 3.20 and later', () => {
    expect(buildKernelLine({ repositories: ['http://a/main', 'http://a/community'] })).toBe('ip=dhcp alpine_repo=http://a/main,http://a/community')
  })

  it('prints the markers of iPXE only where it puts them itself', () => {
    const line = buildKernelLine({ overlay: { folder: `${base}/configs` }, bootif: 'net0' })
    expect(line).toBe(`apkovl=${base}/configs/\${net0/mac}.tar.gz ip=dhcp BOOTIF=01-\${net0/mac:hexhyp}`)
    expect(failure({ arguments: [`a=\${net0/mac}`] }).code).toBe('kernel-word')
    expect(failure({ overlay: `${base}/configs/\${net0/mac}.tar.gz` }).code).toBe('kernel-word')
  })

  it.each([
    ['a blank', 'a b'],
    ['an ampersand', 'url=http://x/?a=1&b=2'],
    ['a command', 'x=$(reboot)'],
    ['a backtick', 'x=`reboot`'],
    ['a quote', "modloop='x"],
    ['a double quote', 'ssh_key="ssh-ed25519'],
    ['a semicolon', 'a;b'],
    ['a pipe', 'a|b'],
    ['a line feed', 'a\nb'],
    ['a bracket of the shell', 'a=[x]'],
    ['a star', 'a=*'],
    ['an umlaut', 'nom=été'],
    ['nothing', ''],
  ])('refuses %s in an argument and says which word', (_, argument) => {
    const error = failure({ arguments: ['quiet', argument] })
    expect(error.code).toBe('kernel-word')
    expect(error.message).toContain(JSON.stringify(argument))
  })

  it('takes braces, which Alpine fills in itself', () => {
    expect(buildKernelLine({ overlay: 'http://a/{MAC}.apkovl.tar.gz' })).toContain('{MAC}.apkovl.tar.gz')
  })

  it.each(['http://a/overlay', 'http://a/x.tgz', 'http://a/x.tar.gz?id=1', 'http://a/x.apkovl.tar.gz.aes-256-cbc'])(
    'refuses the overlay name %s',
    (overlay) => {
      expect(failure({ overlay })).toMatchObject({ code: 'overlay-name', place: { path: 'apkovl' } })
    },
  )

  it.each(['apkovl=http://a/x.tar.gz', 'initrd=x', 'apkovl', 'noapkovl'])('refuses the free argument %s, which is for the gate alone', (argument) => {
    expect(failure({ arguments: [argument] }).code).toBe('kernel-reserved')
  })

  it.each(['root=/dev/sda1', 'single', 's', '1', 'noip', 'ip=none', 'ip=off'])(
    'refuses %s beside an overlay, which would never be fetched',
    (argument) => {
      expect(failure({ ...document, arguments: ['quiet', argument] })).toMatchObject({ code: 'kernel-open' })
      expect(buildKernelLine({ arguments: [argument] })).toContain(argument)
    },
  )
  it.each(['ip=10.9.0.5::10.9.0.1:255.255.255.0::eth0:off', 'rootflags=size=75%', 's1', 'console=ttyS1'])(
    'takes %s beside an overlay',
    (argument) => {
      expect(buildKernelLine({ ...document, arguments: [argument] })).toMatch(argument)
    },
  )

  it('counts to 2,047 bytes and no further, with what iPXE puts in and what the loader adds', () => {
    const fill = (line: KernelLine, sizeBytes: number): KernelLine => {
      const before = buildKernelLine(line).replace(`\${net0/mac}`, '52:54:00:12:34:56').length
      return { ...line, arguments: ['x'.repeat(sizeBytes - before - 1)] }
    }
    expect(buildKernelLine(fill({}, maxLineBytes))).toHaveLength(maxLineBytes)
    expect(failure(fill({}, maxLineBytes + 1))).toMatchObject({ code: 'kernel-long' })
    expect(failure(fill({}, maxLineBytes), 1).message).toContain('2048 bytes')
    const gpxe: KernelLine = { overlay: { folder: 'http://a' } }
    expect(buildKernelLine(fill(gpxe, maxLineBytes))).toHaveLength(maxLineBytes - 6)
    expect(failure(fill(gpxe, maxLineBytes + 1)).code).toBe('kernel-long')
  })

  it('throws only InputError and lets nothing through that a shell would read, for 20,000 random lines', () => {
    const random = seededRandom(41)
    const alphabet = 'ab1.:/=%@,+{}-_~? \t\n$&;|<>()\'"`\\*[]#!é\0'
    const text = (): string => Array.from({ length: Math.floor(random() * 12) }, () => alphabet[Math.floor(random() * alphabet.length)]).join('')
    for (let round = 0; round < 20_000; round++) {
      const line: KernelLine = {
        overlay: `${text()}.tar.gz`,
        modloop: text(),
        modules: [text()],
        alpineDev: text(),
        arguments: [text(), text()],
        bootif: mac as Mac,
      }
      try {
        expect(buildKernelLine(line)).toMatch(/^[A-Za-z0-9._~:/?=%@,+{} -]+$/)
      } catch (error) {
        if (!(error instanceof InputError)) throw error
      }
    }
  })
})

describe('the URL of a file', () => {
  it.each([
    ['releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts', `${base}/releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts`],
    ['apk/gtk+3.0-1.apk', `${base}/apk/gtk+3.0-1.apk`],
    ['data/a file.txt', `${base}/data/a%20file.txt`],
    ["data/it's(1)&2", `${base}/data/it%27s%281%29%262`],
  ])('%s', (path, expected) => {
    expect(fileUrl(base, path)).toBe(expected)
  })
})
