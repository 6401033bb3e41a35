import { describe, expect, it } from 'vitest'
import { branchOf, hasPanic, hasVanilla, ignoresAlpineDev, takesQuery, takesRepositoryList } from '../../src/alpine/branch.ts'

describe('what an init can, by branch', () => {
  const table: [string | undefined, boolean, boolean, boolean, boolean][] = [
    // branch, several repositories, query, panic, alpine_dev ignored
    ['v3.2', false, false, false, false],
    ['v3.15', false, false, false, true],
    ['v3.19', false, true, false, true],
    ['v3.20', true, true, false, true],
    ['v3.22', true, true, false, true],
    ['v3.23', true, true, true, true],
    ['v4.0', true, true, true, true],
    ['edge', true, true, true, true],
    [undefined, true, true, true, true],
  ]
  it.each(table)('%s', (branch, list, query, panic, ignored) => {
    expect([takesRepositoryList(branch), takesQuery(branch), hasPanic(branch), ignoresAlpineDev(branch)]).toEqual([list, query, panic, ignored])
  })

  it('knows until when there was vanilla', () => {
    expect(['v3.10', 'v3.11', 'edge'].map(hasVanilla)).toEqual([true, false, false])
  })

  it.each([
    ['3.22.2', 'v3.22'],
    ['3.10.0', 'v3.10'],
    ['3.23.0_rc1', 'v3.23'],
    ['20240807', undefined],
    ['3.22', undefined],
    ['v3.22.1', undefined],
  ])('version %s is of branch %s', (version, branch) => {
    expect(branchOf(version)).toBe(branch)
  })
})
