import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type CpioEntry, packCpio } from '../../src/alpine/cpio.ts'
import { describeWith } from '../support/tool.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const entries: CpioEntry[] = [
  { kind: 'file', path: 'init', mode: 0o755, bytes: bytes('#!/bin/sh\n') },
  { kind: 'file', path: 'lib/modules/6.1/one.ko', mode: 0o644, bytes: Uint8Array.from({ length: 1001 }, (_, index) => index & 255) },
  { kind: 'file', path: 'lib/empty', mode: 0o600, bytes: new Uint8Array() },
  { kind: 'link', path: 'bin/sh', target: 'busybox' },
  { kind: 'directory', path: 'proc', mode: 0o555 },
]

describe('packCpio', () => {
  it('writes the header that the kernel expects', () => {
    const archive = packCpio([{ kind: 'file', path: 'a', mode: 0o640, bytes: bytes('xyz') }], 0x12345678)
    const text = new TextDecoder().decode(archive)
    const fields = text.slice(6, 110).match(/.{8}/g)
    expect(text.slice(0, 6)).toBe('070701')
    expect(fields).toEqual([
      '00000001',
      '000081a0',
      '00000000',
      '00000000',
      '00000001',
      '12345678',
      '00000003',
      '00000000',
      '00000000',
      '00000000',
      '00000000',
      '00000002',
      '00000000',
    ])
    expect(text.slice(110, 112)).toBe('a\0')
    expect(text.slice(112, 116)).toBe('xyz\0')
    expect(text.slice(116, 122)).toBe('070701')
    expect(archive.length % 512).toBe(0)
  })

  it('gives a device its numbers and the same bytes every time', () => {
    const device: CpioEntry = { kind: 'device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 }
    const text = new TextDecoder().decode(packCpio([device]))
    const at = text.indexOf('070701', 6)
    expect(text.slice(at + 14, at + 22)).toBe('00002180')
    expect(text.slice(at + 6 + 9 * 8, at + 6 + 11 * 8)).toBe('0000000500000001')
    expect(packCpio([...entries, device])).toEqual(packCpio([...entries, device]))
  })

  it.each(['/etc', '../etc', 'a/../b', './a', 'a//b', '', 'a/', 'TRAILER!!!', 'a\0b'])('refuses the path %j', (path) => {
    expect(() => packCpio([{ kind: 'directory', path, mode: 0o755 }])).toThrow(expect.objectContaining({ code: 'cpio-path' }))
  })

  it('refuses a path that comes twice', () => {
    expect(() => packCpio([...entries, { kind: 'directory', path: 'proc', mode: 0o755 }])).toThrow('twice')
    expect(() => packCpio([...entries, { kind: 'directory', path: 'lib', mode: 0o755 }])).toThrow('after its own members')
  })
})

describeWith(['cpio'], 'cpio(1) on what packCpio wrote', () => {
  it('lists and unpacks it', () => {
    const archive = packCpio(entries)
    const listed = execFileSync('cpio', ['-t', '--quiet'], { input: archive, encoding: 'utf8' })
    expect(listed.trim().split('\n')).toEqual([
      'init',
      'lib',
      'lib/modules',
      'lib/modules/6.1',
      'lib/modules/6.1/one.ko',
      'lib/empty',
      'bin',
      'bin/sh',
      'proc',
    ])
    const folder = mkdtempSync(join(tmpdir(), 'bvc-cpio-'))
    try {
      execFileSync('cpio', ['-i', '--quiet'], { input: archive, cwd: folder })
      expect(readFileSync(join(folder, 'lib/modules/6.1/one.ko'))).toEqual(Buffer.from((entries[1] as { bytes: Uint8Array }).bytes))
      expect(statSync(join(folder, 'init')).mode & 0o777).toBe(0o755)
      expect(statSync(join(folder, 'lib/empty')).size).toBe(0)
      expect(readlinkSync(join(folder, 'bin/sh'))).toBe('busybox')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
