// `bivouac init alpine`: all that the source document asks for on one machine, in its order. What is there already stays as it is, so that it may be
// run again; nothing listens for DHCP unless a network is asked for, and nobody gets an overlay with an open root.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { InputError } from '../boot/error.ts'
import { type Config, defaultFile, loadConfig } from '../config.ts'
import type { Context } from './context.ts'
import { addKeys, readText, type Wish, writeText } from './init-file.ts'
import {
  describeDhcp,
  findLoaders,
  layFirstLayer,
  laySshKeys,
  makeDepot,
  nameRepositories,
  type Options,
  setProfile,
  settle,
  type Step,
  type Taken,
  takeRelease,
  type Work,
} from './init-step.ts'
import { say, sayJson } from './output.ts'

const help = `
The steps, in the source document's order: the depot and its folders, the mirror in the configuration, the release with its keys, its
repositories, a first layer and the profile, keys for ssh, loaders, and DHCP only where --interface and --subnet ask for it.
Run it again at any time: what is there stays.

Examples:
  bivouac init alpine --branch v3.22 --mirror https://dl-cdn.alpinelinux.org/alpine --dry-run
  bivouac init alpine --branch v3.22 --mirror https://dl-cdn.alpinelinux.org/alpine --ssh-keys ~/.ssh/id_ed25519.pub
  bivouac init alpine --source ./alpine-netboot-3.22.2-x86_64.tar.gz            without the internet
  bivouac init alpine --branch v3.22 --mirror … --packages-url http://10.9.0.2:8081   packages come from another machine
  bivouac init alpine --branch v3.22 --mirror … --interface eth1 --subnet 10.9.0.0/24 --pool 10.9.0.100-10.9.0.200`

export function addInitCommand(program: Command, context: () => Context): void {
  program
    .command('init')
    .description('set up a boot server')
    .command('alpine')
    .description('all that diskless Alpine stations need, on this machine')
    .option('--branch <branch>', 'v3.22, edge or latest-stable, which is pinned')
    .option('--alpine-version <version>', 'a point release such as 3.22.2 (default: the newest of the branch)')
    .option('--flavour <flavour>', 'lts for real machines, virt for virtual ones', 'lts')
    .option('--arch <arch>', 'as Alpine names it', 'x86_64')
    .option('--source <path>', 'an archive, an ISO image, a folder or a URL (default: upstream, the mirror)')
    .option('--mirror <url>', "an Alpine mirror: releases and packages come from there (default: the configuration's)")
    .option('--sync', 'keep here what the stations install, and bring it up to date each week (bivouac mirror sync does it at once)')
    .option('--packages-url <url>', 'where stations find packages, when another machine has them')
    .option('--key <file>', "OpenPGP key that signs Alpine's releases (default: keys/alpine.asc in the depot)")
    .option('--fingerprint <hex>', "the key's fingerprint (default: Alpine's)")
    .option('--trust-keys', 'trust the apk keys of a release whose signature was not verified')
    .option('--interface <name>', 'turn DHCP on there; with --subnet')
    .option('--subnet <cidr>', 'the network on it, such as 10.9.0.0/24')
    .option('--pool <range>', 'addresses to give, such as 10.9.0.100-10.9.0.200')
    .option('--router <address>', 'its router')
    .option('--ssh-keys <file>', 'public keys for root of every station')
    .option('--dry-run', 'show the plan in its order, and change nothing')
    .addHelpText('after', help)
    .action((options: Options) => init(context(), options))
}

async function init(context: Context, options: Options): Promise<void> {
  const { config: before, file = defaultFile } = context.load()
  const steps: Step[] = []
  const note = (step: Step): void => {
    steps.push(step)
    if (!context.json) say(`${String(steps.length).padStart(2)}  ${step.step.padEnd(12)} ${marks[step.outcome]} ${step.text}`)
  }
  const work = { options, file, isDry: options.dryRun === true, note }
  note(await makeDepot(before, work))
  const config = await settleConfig(before, work)
  const release = await takeRelease(config, work)
  note(await nameRepositories(config, release, work))
  note(await layFirstLayer(config, work))
  note(await setProfile(config, release, work))
  note(await laySshKeys(config, work))
  note(findLoaders(config))
  note(describeDhcp(config, work, !before.networks.length))
  if (context.json) return sayJson({ file, release: release.id, steps })
  sayNext(config, release, work.isDry)
}

const marks = { done: '+', there: '=', would: '>', open: '!' } as const

/** What the configuration file must say, and the configuration that comes of it. Throws ConflictError where it says something else. */
async function settleConfig(before: Config, { options, file, isDry, note }: Work): Promise<Config> {
  const wishes = wishesOf(options)
  const path = resolve(file)
  const text = await readText(path)
  const after = addKeys(text ?? '', wishes, file, 'Bivouac. All keys: docs/configuration.md')
  const isNews = wishes.length > 0 && after !== (text ?? '')
  const names = wishes.map(({ path: key, value }) => `${key.join('.')}${typeof value === 'string' ? ` ${value}` : ''}`).join(', ')
  // What would not be accepted is not written.
  const config = isNews ? await checkText(after, before) : before
  if (isNews && !isDry) await writeText(path, text, after)
  note(settle('settings', isNews, isDry, wishes.length ? `${file}: ${names}` : `${file}: nothing asked for`))
  return config
}

/** The configuration as this text would make it. Throws MistakesError that lists what is wrong. */
async function checkText(text: string, before: Config): Promise<Config> {
  const folder = await mkdtemp(join(tmpdir(), 'bivouac-init-'))
  try {
    const file = join(folder, defaultFile)
    await writeFile(file, text)
    const { mirror, networks, packages } = loadConfig({ file, flags: {}, env: {} }).config
    // Folders are as they were: they hang on where the real file lies, and on flags.
    return {
      ...before,
      mirror: { ...mirror, ...before.mirror, ...(mirror.upstream && { upstream: mirror.upstream }) },
      networks,
      packages: { ...before.packages, ...(packages.url && { url: packages.url }) },
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** All that stations install of one branch. Throws InputError without one: a fleet's branch moves when somebody says so. */
function syncPlan(branch: string | undefined, arch: string) {
  if (!branch || branch === 'latest-stable') throw new InputError('init-sync', '--sync needs a branch that stays, such as --branch v3.22')
  return { name: 'stations', branch, ...(arch !== 'x86_64' && { arch }), packages: 'stations', every: 'week' }
}

function wishesOf(options: Options): Wish[] {
  const { mirror, packagesUrl, sync, branch, arch, interface: card, subnet, pool, router } = options
  if (Boolean(card) !== Boolean(subnet)) throw new InputError('init-network', '--interface and --subnet go together: both turn DHCP on')
  if (!subnet && (pool || router)) throw new InputError('init-network', '--pool and --router belong to a network: give --interface and --subnet')
  const network = { name: card, interface: card, subnet, ...(pool && { pool: [pool] }), ...(router && { router: [router] }) }
  return [
    ...(mirror ? [{ path: ['mirror', 'upstream'], value: mirror.replace(/\/+$/, '') }] : []),
    ...(sync ? [{ path: ['mirror', 'sync'], value: [syncPlan(branch, arch)] }] : []),
    ...(packagesUrl ? [{ path: ['packages', 'url'], value: packagesUrl.replace(/\/+$/, '') }] : []),
    ...(card ? [{ path: ['networks'], value: [network] }] : []),
  ]
}

function sayNext({ depot, networks, mirror }: Config, { id }: Taken, isDry: boolean): void {
  say()
  if (isDry) return say('Nothing was changed. Next: the same without --dry-run.')
  say('Next:')
  say(`  1. name a station:  echo 'mac: 52:54:00:12:34:56' > ${depot}/stations/kiosk.yaml`)
  say(`  2. see what it gets: npx bivouac explain kiosk       and what its overlay lacks: npx bivouac overlay lint kiosk`)
  if (mirror.sync.length)
    say('  3. its packages:     npx bivouac mirror sync         (now; the server does it by itself, as often as mirror.sync says)')
  say(
    `  ${mirror.sync.length ? 4 : 3}. start the server: ${networks.length ? 'sudo npx bivouac serve' : 'npx bivouac serve'}       (one that runs reads its settings only at its start)`,
  )
  say(`  the same packages next year: npx bivouac mirror snapshot create first --stations --release ${id}`)
}
