// `bivouac release …`: import, list, show, diff, use, prune, verify, and additions to the initramfs. Works on the depot itself, with or without a
// server, which sees by itself what changed; only what stations fetched lately is asked of it.
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { type ImportAsk, importRelease } from '../release/import.ts'
import { readManifest, repositoriesOf, setRepositories } from '../release/manifest.ts'
import { createUpstream, type Upstream } from '../upstream/client.ts'
import { readCredentials } from '../upstream/credentials.ts'
import type { Context } from './context.ts'
import { say, sayJson } from './output.ts'
import { addAdditions } from './release-addition.ts'
import { addPrune, addUse } from './release-change.ts'
import { addLooking } from './release-look.ts'
import { createReleaseProgress, formatImport } from './release-show.ts'

const examples = `
Examples:
  bivouac release import upstream                          the newest of latest-stable, pinned
  bivouac release import upstream --branch v3.22 --flavour lts --dry-run
  bivouac release import ./alpine-netboot-3.22.2-x86_64.tar.gz --key ncopa.asc --require-signature
  bivouac release import ./alpine-standard-3.22.2-x86_64.iso --with-packages
  bivouac release list
  bivouac release show alpine/3.22.2/x86_64/lts
  bivouac release diff alpine/3.22.1/x86_64/lts alpine/3.22.2/x86_64/lts
  bivouac release use alpine/3.22.2/x86_64/lts --profile kiosk
  bivouac release verify
  bivouac release prune --dry-run
  bivouac release additions show site                      what a second initrd would hold`

/** Adds the group. */
export function addReleaseCommand(program: Command, context: () => Context): void {
  const group = program
    .command('release')
    .description('kernel, initramfs and modloop as one: import, choose, check, take away')
    .addHelpText('after', examples)
  addImport(group, context)
  addLooking(group, context)
  addUse(group, context)
  addPrune(group, context)
  addAdditions(group, context)
}

type ImportFlags = Omit<ImportAsk, 'source' | 'version'> & { alpineVersion?: string }

function addImport(group: Command, context: () => Context): void {
  group
    .command('import <source>')
    .description('from "upstream" (mirror.upstream), a URL, a netboot tarball, an ISO image or a folder')
    .option('--branch <branch>', 'v3.22, edge or latest-stable, which is pinned to what it is today')
    .option('--alpine-version <version>', 'a point release such as 3.22.2 (--version does too)')
    .option('--arch <arch>', 'x86_64, aarch64… (default: what the source says, else x86_64)')
    .option('--flavour <flavour>', 'lts, or virt for virtual machines', 'lts')
    .option('--key <file>', "OpenPGP key that signs Alpine's releases (default: keys/alpine.asc in the depot)")
    .option('--fingerprint <hex>', "the key's fingerprint (default: Natanael Copa's, which is Alpine's)")
    .option('--require-signature', 'import nothing whose signature was not verified')
    .option('--trust-keys', 'trust its apk keys though no signature was verified')
    .option('--with-packages', 'of an ISO image: its packages too, where the mirror has none of that branch')
    .option('--dry-run', 'say what would be done; write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac release import upstream --branch v3.22\n  bivouac release import ./alpine-netboot-3.22.2-x86_64.tar.gz --flavour virt\n  bivouac release import /media/cdrom --version 3.22.2 --arch x86_64\n\nA download that was interrupted goes on where it stopped.',
    )
    .action(async (source: string, { alpineVersion, ...flags }: ImportFlags) => {
      const { config } = context().load()
      const { stderr } = process
      const screen = { isTerminal: stderr.isTTY === true, columns: stderr.columns ?? 80, write: (text: string) => void stderr.write(text) }
      const progress = createReleaseProgress(screen, Date.now)
      const upstream = createLazyUpstream(config)
      try {
        const outcome = await importRelease(
          { ...flags, source, ...(alpineVersion && { version: alpineVersion }), ...(flags.key && { key: resolve(flags.key) }) },
          { ...placesOf(config), upstream: upstream.get, onProgress: progress.show, now: Date.now },
        )
        progress.end()
        const repositories = outcome.outcome === 'imported' ? await nameRepositories(config, outcome.id) : []
        if (context().json) return sayJson({ ...outcome, ...(repositories.length && { repositories }) })
        say(formatImport(outcome))
        if (repositories.length) say(`its packages come from ${repositories.join(', ')}`)
      } finally {
        progress.end()
        await upstream.close()
      }
    })
}

/** A new release that names none gets those of its branch, where packages can be had: from an upstream, another server, or the mirror. */
async function nameRepositories({ depot, mirror, packages }: Config, id: string): Promise<readonly string[]> {
  const manifest = await readManifest(depot, id)
  if (!manifest || manifest.repositories.length) return []
  const hasPackages = mirror.upstream !== undefined || packages.url !== undefined || existsSync(join(packages.root, manifest.branch, 'main'))
  return hasPackages ? (await setRepositories(depot, id, repositoriesOf(manifest.branch))).repositories : []
}

const placesOf = ({ depot, state, packages, mirror }: Config) => ({
  depot,
  state,
  packagesRoot: packages.root,
  ...(mirror.upstream && { mirror: mirror.upstream }),
})

/** The client, made when it is first needed: most sources are files. */
function createLazyUpstream({ mirror }: Config): { get: () => Upstream; close: () => Promise<void> } {
  let client: Upstream | undefined
  const get = (): Upstream => {
    const credentials = mirror.upstream && mirror.credentials ? readCredentials(mirror.credentials, mirror.upstream) : undefined
    client ??= createUpstream({ ...(mirror.proxy && { proxy: mirror.proxy }), ...(credentials && { credentials }) })
    return client
  }
  return { get, close: async () => client?.close() }
}
