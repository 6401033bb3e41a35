import { describe, expect, it } from 'vitest'
import { agree } from '../../src/tftp/option.ts'
import type { OptionPair } from '../../src/tftp/packet.ts'

const limits = { blksizeMax: 1468, windowsizeMax: 64 }
const size = 70_000

// Each row: what is asked, what the OACK says (none: no OACK at all), and the terms that differ from 512, lock-step, our own timer.
const matrix: [string, OptionPair[], OptionPair[], { blksize?: number; windowsize?: number; timeoutMs?: number }][] = [
  ['nothing (RFC 1350)', [], [], {}],
  ['blksize within the limit (RFC 2348)', [['blksize', '1024']], [['blksize', '1024']], { blksize: 1024 }],
  ['blksize above the limit: a smaller answer', [['blksize', '8192']], [['blksize', '1468']], { blksize: 1468 }],
  ['the least blksize', [['blksize', '8']], [['blksize', '8']], { blksize: 8 }],
  ['the greatest blksize', [['blksize', '65464']], [['blksize', '1468']], { blksize: 1468 }],
  ['blksize below 8', [['blksize', '7']], [], {}],
  ['blksize above 65464', [['blksize', '65465']], [], {}],
  ['blksize 0', [['blksize', '0']], [], {}],
  ['a negative blksize', [['blksize', '-8']], [], {}],
  ['blksize with a sign', [['blksize', '+512']], [], {}],
  ['blksize as hex', [['blksize', '0x200']], [], {}],
  ['blksize with a fraction', [['blksize', '512.5']], [], {}],
  ['an empty blksize', [['blksize', '']], [], {}],
  ['blksize as a word', [['blksize', 'big']], [], {}],
  ['blksize with spaces', [['blksize', ' 512']], [], {}],
  ['an absurd blksize', [['blksize', '9'.repeat(400)]], [], {}],
  ['leading zeros', [['blksize', '01024']], [['blksize', '1024']], { blksize: 1024 }],
  [
    'names in any case, answered in theirs (RFC 2347)',
    [
      ['BLKSIZE', '1024'],
      ['TSize', '0'],
    ],
    [
      ['BLKSIZE', '1024'],
      ['TSize', '70000'],
    ],
    { blksize: 1024 },
  ],
  ['tsize 0 (RFC 2349)', [['tsize', '0']], [['tsize', '70000']], {}],
  ['tsize with another number', [['tsize', '1']], [['tsize', '70000']], {}],
  ['tsize as a word', [['tsize', 'x']], [], {}],
  ['timeout 1 (RFC 2349)', [['timeout', '1']], [['timeout', '1']], { timeoutMs: 1000 }],
  ['timeout 255', [['timeout', '255']], [['timeout', '255']], { timeoutMs: 255_000 }],
  ['timeout 0', [['timeout', '0']], [], {}],
  ['timeout 256', [['timeout', '256']], [], {}],
  ['windowsize (RFC 7440)', [['windowsize', '16']], [['windowsize', '16']], { windowsize: 16 }],
  ['windowsize above the limit', [['windowsize', '65535']], [['windowsize', '64']], { windowsize: 64 }],
  ['windowsize 1', [['windowsize', '1']], [['windowsize', '1']], {}],
  ['windowsize 0', [['windowsize', '0']], [], {}],
  ['windowsize 65536', [['windowsize', '65536']], [], {}],
  [
    'unknown options',
    [
      ['multicast', ''],
      ['rollover', '0'],
      ['__proto__', '1'],
      ['constructor', '8'],
    ],
    [],
    {},
  ],
  [
    'good ones among bad ones, in order',
    [
      ['tsize', '0'],
      ['x', '1'],
      ['blksize', '4'],
      ['windowsize', '4'],
    ],
    [
      ['tsize', '70000'],
      ['windowsize', '4'],
    ],
    { windowsize: 4 },
  ],
  [
    'an option twice: the first counts',
    [
      ['blksize', '1024'],
      ['BlkSize', '512'],
    ],
    [['blksize', '1024']],
    { blksize: 1024 },
  ],
  [
    'an option twice, the first bad',
    [
      ['blksize', '1'],
      ['blksize', '600'],
    ],
    [['blksize', '600']],
    { blksize: 600 },
  ],
  [
    'what iPXE asks',
    [
      ['blksize', '1432'],
      ['tsize', '0'],
    ],
    [
      ['blksize', '1432'],
      ['tsize', '70000'],
    ],
    { blksize: 1432 },
  ],
  [
    'what edk2 asks',
    [
      ['blksize', '1468'],
      ['windowsize', '4'],
    ],
    [
      ['blksize', '1468'],
      ['windowsize', '4'],
    ],
    { blksize: 1468, windowsize: 4 },
  ],
]

describe('the option matrix', () => {
  it.each(matrix)('%s', (_, asked, accepted, terms) => {
    expect(agree(asked, size, limits)).toEqual({ blksize: 512, windowsize: 1, ...terms, accepted })
  })
})
