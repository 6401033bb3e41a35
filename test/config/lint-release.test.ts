import { describe, expect, it } from 'vitest'
import { profileSchema, indexRecords, type AlpineProfile, type Release } from '../../src/boot/record.ts'
import { lintBoot, lintNoRepositories } from '../../src/config/lint-release.ts'

const release = (version: string, branch?: string): Release => {
  const folder = `releases/alpine/${version}/x86_64/lts`
  return {
    id: `alpine/${version}/x86_64/lts`,
    kernel: `${folder}/vmlinuz-lts`,
    initramfs: `${folder}/initramfs-lts`,
    flavour: 'lts',
    ...(branch && { branch }),
  }
}

function lint(profile: object, releases: readonly Release[] = []): string[] {
  const found: string[] = []
  const parsed = profileSchema.parse({ name: 'p', kind: 'alpine', ...profile }) as AlpineProfile
  lintBoot(parsed, indexRecords([], [parsed], releases), (severity, code, key, message) => found.push(`${severity} ${code} ${key}: ${message}`))
  return found
}

const files = (kernel: string, modloop: string) => ({
  kernel: `${kernel}vmlinuz-lts`,
  initramfs: `${kernel}initramfs-lts`,
  modloop: `${modloop}modloop-lts`,
})
const two = { repositories: ['apk/v3.19/main', 'apk/v3.19/community'] }

describe('a profile and its release', () => {
  it.each([
    ['nothing said', {}, []],
    ['files of one release', files('releases/alpine/3.22.2/x86_64/lts/', 'releases/alpine/3.22.2/x86_64/lts/'), []],
    ['files without a version', files('', 'boot/'), []],
    ['several repositories of a new branch', { repositories: ['apk/v3.22/main', 'apk/v3.22/community'] }, []],
    ['several repositories of no known branch', { repositories: ['data/a', 'data/b'] }, []],
  ])('has nothing to tell: %s', (_, profile, expected) => {
    expect(lint(profile)).toEqual(expected)
  })

  it('tells files of two versions', () => {
    expect(lint(files('releases/alpine/3.22.2/x86_64/lts/', 'releases/alpine/3.22.1/x86_64/lts/'))).toEqual([
      expect.stringMatching(/^error version-mix modloop: releases\/alpine\/3\.22\.1\/.* is of 3\.22\.1, .* of 3\.22\.2: .* name it by release:/),
    ])
    expect(lint(files('netboot-3.22.2/', 'netboot-3.21.0/'))).toEqual([expect.stringContaining('version-mix')])
  })

  it.each(['modloop', 'modloop-lts.squashfs', 'kiosk-modloop'])('tells a modloop that is called %s', (name) => {
    expect(lint({ ...files('', ''), modloop: `boot/${name}` })).toEqual([
      expect.stringMatching(/^warning modloop-renamed modloop: .* call it modloop-<flavour>/),
    ])
  })

  it('tells alpine_dev where it does nothing', () => {
    const profile = { alpineDev: 'nfs:10.9.0.3:/srv' }
    expect(lint(profile)).toEqual([expect.stringMatching(/^warning alpine-dev-ignored alpineDev: every Alpine since v3\.3 ignores/)])
    expect(lint(profile, [release('3.15.0')])).toEqual([expect.stringContaining('so v3.15 too,')])
    expect(lint({ ...profile, release: 'alpine/3.2.0/x86_64/lts' }, [release('3.2.0')])).toEqual([])
  })

  it('tells a profile without any repositories', () => {
    const tell = (profile: object, releases: readonly Release[]): string[] => {
      const found: string[] = []
      const parsed = profileSchema.parse({ name: 'p', kind: 'alpine', ...profile }) as AlpineProfile
      lintNoRepositories(parsed, indexRecords([], [parsed], releases), (_, code, __, message) => found.push(`${code}: ${message}`))
      return found
    }
    const one = release('3.22.2', 'v3.22')
    expect(tell({}, [one])).toEqual([expect.stringMatching(/^repositories-none: .* give repositories: \[apk\/v3\.22\/main, /)])
    expect(tell(files('', ''), [])).toEqual([expect.stringContaining('repositories-none')])
    expect(tell({}, [{ ...one, repositories: ['apk/v3.22/main'] }])).toEqual([])
    expect(tell({ repositories: ['http://10.9.0.2/main'] }, [one])).toEqual([])
    expect(tell({ omit: ['alpine_repo'] }, [one])).toEqual([])
    expect(tell({}, [])).toEqual([])
  })

  it.each([
    ['the release that it names', { ...two, release: 'alpine/3.19.1/x86_64/lts' }, [release('3.19.1')]],
    ['the manifest of that release', { repositories: ['data/a', 'data/b'], release: 'alpine/x/x86_64/lts' }, [release('x', 'v3.19')]],
    ['the only release', two, [release('3.19.1')]],
    ['the repositories themselves', two, []],
  ])('tells several repositories before v3.20, by %s', (_, profile, releases) => {
    expect(lint(profile, releases)).toEqual([
      expect.stringMatching(/^warning repository-list repositories: the init of v3\.19 takes one repository only/),
    ])
  })
})
