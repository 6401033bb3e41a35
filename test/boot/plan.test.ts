// What a station's script does: planScript and findBootFiles.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Facts } from '../../src/boot/client.ts'
import { type Decision, type FindOverlay, findBootFiles, planChoice, planScript } from '../../src/boot/decide.ts'
import type { AlpineProfile, Site } from '../../src/boot/record.ts'
import { makeProfiles, makeRecords, makeRelease, makeSite, makeStation, testMac } from '../support/core.ts'

const rulesOf = ({ why }: Pick<Decision, 'why'>): string => why.map(({ rule, held }) => (held ? rule : `-${rule}`)).join(' ')

const found: FindOverlay = () => ({ path: 'configs/kiosk.tar.gz' })
const none: FindOverlay = () => ({ missing: 'no overlay for kiosk' })

describe('planScript', () => {
  const profiles = {
    default: { kind: 'alpine', release: '3.22/x86_64' },
    bare: { kind: 'alpine', overlay: 'none' },
    gone: { kind: 'alpine', release: '3.0/x86_64' },
    own: { kind: 'script', template: 'own' },
  }
  const releases = [makeRelease('3.22/x86_64')]
  const plan = (station: object, findOverlay: FindOverlay, site: Partial<Site> = {}, facts: Facts = {}) =>
    planScript(testMac, facts, { site: makeSite(site), records: makeRecords({ stations: [makeStation(station)], profiles, releases }) }, findOverlay)
  const tail = (whole: { why: readonly { rule: string; held: boolean }[] }) => rulesOf(whole as Decision).replace(/^station \S+ ?/, '')

  // A-16 and "never an open station": station's profile, overlay there?, site → what is rendered.
  type Row = [string, object, FindOverlay, Partial<Site>, profile: string, overlay: string | undefined, rules: string]
  const rows: Row[] = [
    ['with its overlay', {}, found, {}, 'default', 'configs/kiosk.tar.gz', 'release overlay'],
    ['without: waits', {}, none, {}, 'wait', undefined, '-overlay instead'],
    ['without: boots from its disk, if the site says so', {}, none, { withoutOverlay: 'local' }, 'local', undefined, '-overlay instead'],
    ['without: shows the menu, if the site says so', {}, none, { withoutOverlay: 'menu' }, 'menu', undefined, '-overlay instead'],
    ['without: runs a script of its own, if the site says so', {}, none, { withoutOverlay: 'own' }, 'own', undefined, '-overlay instead'],
    [
      'without: a bare Alpine only where the site says so',
      {},
      none,
      { withoutOverlay: 'bare' },
      'bare',
      undefined,
      '-overlay instead release overlay',
    ],
    ['without: waits where the substitute needs one too', {}, none, { withoutOverlay: 'default' }, 'wait', undefined, '-overlay instead -overlay'],
    ['without: waits where the substitute has no release', {}, none, { withoutOverlay: 'gone' }, 'wait', undefined, '-overlay instead -release'],
    ['without: waits where the substitute does not exist', {}, none, { withoutOverlay: 'nobody' }, 'wait', undefined, '-overlay instead'],
    ['bare by its own profile', { profile: 'bare' }, none, {}, 'bare', undefined, 'release overlay'],
    [
      'a release that is gone: waits, whatever the site says of overlays',
      { profile: 'gone' },
      found,
      { withoutOverlay: 'bare' },
      'wait',
      undefined,
      '-release instead',
    ],
    ['from its disk', { profile: 'local' }, none, {}, 'local', undefined, ''],
    ['a script of its own', { profile: 'own' }, none, {}, 'own', undefined, ''],
  ]
  it.each(rows)('%s', (_, station, findOverlay, site, profile, overlay, rules) => {
    const script = plan(station, findOverlay, site)
    expect([script.profile.name, script.boot?.overlay, tail(script)]).toEqual([profile, overlay, rules])
    expect(script.station?.name).toBe('kiosk')
  })

  it('gives boot files exactly to what boots Alpine', () => {
    for (const station of [{}, { profile: 'bare' }, { profile: 'local' }, { profile: 'own' }, { profile: 'gone' }]) {
      const script = plan(station, found)
      expect(script.boot !== undefined).toBe(script.profile.kind === 'alpine')
    }
  })

  it('asks for an overlay only where a profile wants one', () => {
    let asked = 0
    const count: FindOverlay = () => {
      asked++
      return { path: 'configs/x.tar.gz' }
    }
    for (const station of [{ profile: 'bare' }, { profile: 'local' }, { profile: 'gone' }]) plan(station, count)
    expect(asked).toBe(0)
    plan({}, count)
    expect(asked).toBe(1)
  })

  it('never gives a script with a kernel and no overlay unless some profile says so', () => {
    const site = fc.record({
      unknown: fc.constantFrom('default', 'wait', 'menu', 'gone'),
      withoutOverlay: fc.constantFrom('default', 'wait', 'local', 'gone', 'nobody'),
    })
    const station = fc.option(fc.constantFrom({}, { profile: 'default' }, { profile: 'gone' }, { profile: 'nobody' }), { nil: undefined })
    fc.assert(
      fc.property(site, station, fc.constantFrom(found, none), (settings, record, findOverlay) => {
        const records = makeRecords({ stations: record ? [makeStation(record)] : [], profiles, releases })
        const script = planScript(testMac, {}, { site: makeSite(settings), records }, findOverlay)
        if (script.boot) expect(script.boot.overlay).toBe('configs/kiosk.tar.gz')
      }),
    )
  })

  it('can be made for a profile that was chosen at the station', () => {
    const records = makeRecords({ stations: [makeStation()], profiles, releases })
    const [bare] = makeProfiles({ bare: profiles.bare })
    if (!bare) throw new Error('no profile')
    expect(planChoice({ profile: bare, why: [] }, {}, { site: makeSite(), records }, none).boot?.files.releaseId).toBe('3.22/x86_64')
  })
})

describe('findBootFiles', () => {
  const profile = (more: object = {}) => makeProfiles({ p: { kind: 'alpine', ...more } })[0] as AlpineProfile
  const x64 = makeRelease('3.22/x86_64')
  const x86 = makeRelease('3.22/x86')
  const arm = makeRelease('3.22/aarch64')
  const plain = makeRelease('own', 'virt')
  const files = { kernel: 'boot/vmlinuz-virt', initramfs: 'boot/initramfs-virt' }

  // the profile, what iPXE says of itself, releases in the depot → the release's id, the kernel's path, or what is missing.
  const rows: [string, object, string | undefined, ReturnType<typeof makeRelease>[], string | RegExp][] = [
    ['the profile’s own files', files, 'x86_64', [x64], 'boot/vmlinuz-virt'],
    ['the profile’s own files before its release', { ...files, release: '3.22/x86_64' }, 'x86_64', [x64], 'boot/vmlinuz-virt'],
    ['the release when only a kernel is named', { kernel: 'boot/vmlinuz-virt' }, 'x86_64', [x64], '3.22/x86_64'],
    ['the release that is named', { release: '3.22/aarch64' }, 'x86_64', [x64, arm], '3.22/aarch64'],
    ['no release of that name', { release: '3.21' }, 'x86_64', [x64], /release 3\.21 is not in the depot/],
    ['the only release', {}, undefined, [x64], '3.22/x86_64'],
    ['the only release that fits', {}, 'x86_64', [x64, arm], '3.22/x86_64'],
    ['the only release that fits ARM', {}, 'arm64', [x64, arm], '3.22/aarch64'],
    ['a BIOS iPXE says i386 on 64-bit machines too', {}, 'i386', [x64, arm], '3.22/x86_64'],
    ['a release without architecture fits all', {}, 'arm64', [plain], 'own'],
    ['all fit what iPXE calls by a name of tomorrow', {}, 'sparc', [x64], '3.22/x86_64'],
    ['none for this machine', {}, 'arm64', [x64, x86], /no release that fits/],
    ['none at all', {}, 'x86_64', [], /no release that fits/],
    ['two to choose from', {}, 'i386', [x64, x86], /names no release and the depot has 2: 3\.22\/x86_64, 3\.22\/x86$/],
    ['two to choose from when nothing is told', {}, undefined, [x64, arm], /the depot has 2/],
  ]
  it.each(rows)('%s', (_, more, buildarch, releases, expected) => {
    const outcome = findBootFiles(profile(more), { ...(buildarch && { buildarch }) }, makeRecords({ releases }))
    if (expected instanceof RegExp) expect('missing' in outcome && outcome.missing).toMatch(expected)
    else expect('kernel' in outcome && (outcome.releaseId ?? outcome.kernel)).toBe(expected)
  })

  it('answers all that belongs together', () => {
    expect(findBootFiles(profile(), {}, makeRecords({ releases: [x64] }))).toEqual({
      kernel: 'releases/3.22/x86_64/vmlinuz-lts',
      initramfs: 'releases/3.22/x86_64/initramfs-lts',
      modloop: 'releases/3.22/x86_64/modloop-lts',
      flavour: 'lts',
      releaseId: '3.22/x86_64',
    })
    expect(findBootFiles(profile({ ...files, modloop: 'm' }), {}, makeRecords())).toEqual({ ...files, modloop: 'm', flavour: 'virt' })
    expect(findBootFiles(profile({ kernel: 'vmlinuz', initramfs: 'i' }), {}, makeRecords())).toEqual({
      kernel: 'vmlinuz',
      initramfs: 'i',
      flavour: '',
    })
  })
})
