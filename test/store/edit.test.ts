// Records changed by command: comments stay, wrong ones are refused whole, several files change as one, the history tells who.
import fc from 'fast-check'
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parse } from 'yaml'
import { openEditor } from '../../src/store/edit.ts'
import { openRecords } from '../../src/store/record.ts'
import { openTransactions } from '../../src/store/transaction.ts'
import { patchYaml, writeYaml } from '../../src/store/yaml-edit.ts'
import { makeScratch } from '../support/scratch.ts'

describe('patchYaml', () => {
  const text = `# the kiosk by the door
macs: [52:54:00:00:00:01]   # left card

profile: alpine # for now
labels:
  room: a12
  # who to call
  owner: 'anna'
`

  it('changes what it is told and leaves the rest to the byte', () => {
    expect(patchYaml(text, { profile: 'local' }, 'f')).toBe(text.replace('profile: alpine', 'profile: local'))
    expect(patchYaml(text, { labels: { owner: 'ben' } }, 'f')).toBe(text.replace("'anna'", 'ben'))
    expect(patchYaml(text, { group: 'kiosk' }, 'f')).toBe(`${text}group: kiosk\n`)
    expect(patchYaml(text, {}, 'f')).toBe(text)
    expect(patchYaml(text, { profile: 'alpine' }, 'f')).toBe(text)
  })

  it('takes keys away, adds others, and goes into blocks', () => {
    const after = patchYaml(text, { profile: null, group: 'kiosk', labels: { room: 'b1', owner: null, floor: '2' } }, 'f')
    expect(parse(after)).toEqual({ macs: ['52:54:00:00:00:01'], labels: { room: 'b1', floor: '2' }, group: 'kiosk' })
    expect(after).toContain('# left card')
    expect(patchYaml(text, { macs: null }, 'f')).toMatch(/^# the kiosk by the door\n/)
  })

  it('does not touch a file that is no block of keys', () => {
    expect(() => patchYaml('a: [', { b: 1 }, 'f.yaml')).toThrow(/f\.yaml: not valid YAML.*by hand/)
    expect(() => patchYaml('- a\n', { b: 1 }, 'f.yaml')).toThrow(/not a block of keys/)
  })

  it('is the merge of JSON merge patch, whatever the values', () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 3 }))
    const key = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== '__proto__')
    const tree = fc.dictionary(key, fc.oneof(leaf, fc.dictionary(key, leaf, { maxKeys: 3 })), { maxKeys: 4 })
    const patch = fc.dictionary(key, fc.oneof(leaf, fc.constant(null), fc.dictionary(key, fc.oneof(leaf, fc.constant(null)), { maxKeys: 3 })), {
      maxKeys: 4,
    })
    const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
    fc.assert(
      fc.property(tree, patch, (before, change) => {
        expect(parse(patchYaml(writeYaml(before), change, 'f')) ?? {}).toEqual(plain(merge(before, change)))
      }),
      { numRuns: 300, seed: 20261121 },
    )
  })
})

/** RFC 7396, section 2. */
function merge(target: unknown, change: unknown): unknown {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change
  const isBlock = typeof target === 'object' && target !== null && !Array.isArray(target)
  const result: Record<string, unknown> = { ...(isBlock ? target : {}) }
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete result[key]
    else result[key] = merge(result[key], value)
  }
  return result
}

async function open(files: Record<string, string>) {
  const root = await makeScratch()
  const [depot, state] = [join(root, 'depot'), join(root, 'state')]
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(depot, name, '..'), { recursive: true })
    await writeFile(join(depot, name), text)
  }
  await mkdir(state, { recursive: true })
  const records = await openRecords({ depot, emit: () => {}, now: Date.now })
  const editor = await openEditor({ depot, state, records, now: () => 1000 })
  onTestFinished(async () => {
    records.close()
    await editor.close()
  })
  return { depot, state, records, editor, read: (name: string) => readFile(join(depot, name), 'utf8') }
}

const a = 'mac: 52:54:00:00:00:01\nprofile: local # as ever\n'

describe('the editor', () => {
  it('makes, changes, renames and removes records, in force at once', async () => {
    const { editor, records, read, depot } = await open({})
    await editor.apply([{ kind: 'stations', name: 'a', action: 'create', value: { macs: ['52:54:00:00:00:01'], group: null } }], 'anna')
    expect(await read('stations/a.yaml')).toBe('macs: [52:54:00:00:00:01]\n')
    await editor.apply([{ kind: 'stations', name: 'a', action: 'change', patch: { profile: 'local' } }], 'ben')
    expect(records.current().stations[0]).toMatchObject({ name: 'a', profile: 'local' })
    await editor.apply([{ kind: 'stations', name: 'a', action: 'rename', to: 'b' }], 'ben')
    expect(records.current().stations.map(({ name }) => name)).toEqual(['b'])
    await editor.apply([{ kind: 'stations', name: 'b', action: 'remove' }], 'ben')
    expect([records.current().stations, await readdir(join(depot, 'stations'))]).toEqual([[], []])
    expect(editor.history().map(({ action, by }) => `${by} ${action}`)).toEqual(['anna create', 'ben change', 'ben rename', 'ben remove'])
    expect(editor.history('stations', 'a').find(({ profile }) => profile)?.profile).toEqual([null, 'local'])
  })

  it('keeps comments, and takes macs in place of mac', async () => {
    const { editor, read } = await open({ 'stations/a.yaml': a })
    await editor.apply([{ kind: 'stations', name: 'a', action: 'change', patch: { macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'] } }], 'anna')
    expect(await read('stations/a.yaml')).toBe('macs: [52:54:00:00:00:01, 52:54:00:00:00:02]\nprofile: local # as ever\n')
  })

  const refusals: [string, Parameters<Awaited<ReturnType<typeof open>>['editor']['apply']>[0], RegExp][] = [
    ['a wrong value', [{ kind: 'stations', name: 'a', action: 'change', patch: { address: '10.9.0.300' } }], /stations\/a\.yaml:3: address: /],
    ['an unknown key', [{ kind: 'stations', name: 'a', action: 'change', patch: { profil: 'x' } }], /did you mean "profile"/],
    ['a MAC of another', [{ kind: 'stations', name: 'c', action: 'create', value: { mac: '52-54-00-00-00-01' } }], /is station a's/],
    [
      'a name that is taken',
      [{ kind: 'stations', name: 'a', action: 'create', value: { mac: '52:54:00:00:00:09' } }],
      /there is a station a already/,
    ],
    ['a name that leads out', [{ kind: 'stations', name: '../a', action: 'create', value: { mac: '52:54:00:00:00:09' } }], /a name is letters/],
    ['a rename onto another', [{ kind: 'stations', name: 'a', action: 'rename', to: 'b' }], /there is a station b already/],
    ['a record that is not there', [{ kind: 'stations', name: 'x', action: 'remove' }], /there is no station x/],
    ['a built-in profile', [{ kind: 'profiles', name: 'local', action: 'change', patch: { priority: 1 } }], /built in/],
    ['a profile that stations boot', [{ kind: 'profiles', name: 'mine', action: 'remove' }], /b \(1\) boot it/],
    ['a name by key', [{ kind: 'stations', name: 'a', action: 'change', patch: { name: 'z' } }], /by renaming/],
    [
      'the whole of a change of which one part is wrong',
      [
        { kind: 'stations', name: 'a', action: 'change', patch: { profile: 'menu' } },
        { kind: 'stations', name: 'b', action: 'change', patch: { address: 'x' } },
      ],
      /stations\/b\.yaml/,
    ],
  ]
  it.each(refusals)('refuses %s and changes nothing', async (_, changes, message) => {
    const files = { 'stations/a.yaml': a, 'stations/b.yaml': 'mac: 52:54:00:00:00:0b\nprofile: mine\n', 'profiles/mine.yaml': 'kind: local\n' }
    const { editor, read, depot } = await open(files)
    await expect(editor.apply(changes, 'anna')).rejects.toThrow(message)
    for (const [name, text] of Object.entries(files)) expect(await read(name)).toBe(text)
    expect(await readdir(join(depot, 'stations'))).toEqual(['a.yaml', 'b.yaml'])
    expect(editor.history()).toEqual([])
  })

  it('renames a profile with all who boot it', async () => {
    const { editor, read } = await open({ 'stations/b.yaml': 'mac: 52:54:00:00:00:0b\nprofile: mine\n', 'profiles/mine.yaml': 'kind: local\n' })
    await editor.apply([{ kind: 'profiles', name: 'mine', action: 'rename', to: 'disk' }], 'anna')
    expect([await read('profiles/disk.yaml'), await read('stations/b.yaml')]).toEqual(['kind: local\n', 'mac: 52:54:00:00:00:0b\nprofile: disk\n'])
  })

  it('lets fifty parallel changes through one after the other, none lost', async () => {
    const { editor, records } = await open({ 'stations/a.yaml': a })
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        editor.apply([{ kind: 'stations', name: 'a', action: 'change', patch: { labels: { [`n${index}`]: 'x' } } }], `w${index}`),
      ),
    )
    expect(Object.keys(records.current().stations[0]?.labels ?? {})).toHaveLength(50)
    expect(editor.history()).toHaveLength(50)
  })
})

describe('transactions', () => {
  it('change files, make links and remove, as one', async () => {
    const root = await makeScratch()
    const { commit } = await openTransactions(join(root, 'intents'))
    await writeFile(join(root, 'old'), 'x')
    await commit([
      { path: join(root, 'one'), bytes: '1' },
      { path: join(root, 'link'), target: 'one' },
      { path: join(root, 'old'), gone: true },
    ])
    expect([await readFile(join(root, 'one'), 'utf8'), await readlink(join(root, 'link')), (await readdir(root)).sort()]).toEqual([
      '1',
      'one',
      ['intents', 'link', 'one'],
    ])
    expect(await readdir(join(root, 'intents'))).toEqual([])
  })

  it('change nothing when one file cannot be written', async () => {
    const root = await makeScratch()
    const { commit } = await openTransactions(join(root, 'intents'))
    await writeFile(join(root, 'file'), 'x')
    await expect(
      commit([
        { path: join(root, 'one'), bytes: '1' },
        { path: join(root, 'file/two'), bytes: '2' },
      ]),
    ).rejects.toMatchObject({ code: 'write-failed' })
    expect((await readdir(root)).sort()).toEqual(['file', 'intents'])
  })

  it('replace a link by a link without a moment between', async () => {
    const root = await makeScratch()
    await symlink('a', join(root, 'link'))
    const { commit } = await openTransactions(join(root, 'intents'))
    await commit([{ path: join(root, 'link'), target: 'b' }])
    expect(await readlink(join(root, 'link'))).toBe('b')
  })

  it('refuse an intent that would touch other places', async () => {
    const root = await makeScratch()
    await mkdir(join(root, 'intents'))
    await writeFile(join(root, 'intents/x.json'), JSON.stringify({ steps: [{ path: '/etc/passwd', draft: join(root, 'evil') }] }))
    await expect(openTransactions(join(root, 'intents'))).rejects.toMatchObject({ code: 'intent-bad' })
  })

  it('killed at any moment leave all files old or all files new', async () => {
    const root = await makeScratch()
    const child = join(import.meta.dirname, 'transaction-child.ts')
    const states = new Set<string>()
    for (let delayMs = 0; delayMs < 24; delayMs++) {
      const folder = join(root, String(delayMs))
      await mkdir(folder)
      await promisify(execFile)(process.execPath, [child, folder, String(delayMs)]).catch(() => undefined)
      await openTransactions(join(folder, 'intents'))
      const texts = await Promise.all(Array.from({ length: 8 }, (_, index) => readFile(join(folder, `f${index}`), 'utf8').catch(() => 'none')))
      expect(new Set(texts).size, texts.join(' ')).toBe(1)
      states.add(texts[0] ?? '')
    }
    // The kills met different moments: else this test would show nothing.
    expect(states.size).toBeGreaterThan(2)
  }, 60_000)
})
