// The steps of `bivouac init alpine`: each sees what is there, does what is missing, and says so. Called by init in their order.
import { mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { branchOf } from '../alpine/branch.ts'
import { InputError, MissingError } from '../boot/error.ts'
import type { Config } from '../config.ts'
import { createLoaderLibrary } from '../ipxe/library.ts'
import { readTrustedKeys } from '../mirror/key.ts'
import { type ImportOutcome, importRelease } from '../release/import.ts'
import { readManifest, repositoriesOf, setRepositories } from '../release/manifest.ts'
import { applyEdits, editProfile } from '../release/use.ts'
import { createUpstream } from '../upstream/client.ts'
import { readCredentials } from '../upstream/credentials.ts'
import { initDepot, planDepot } from './depot.ts'
import { appendKeys, readText, writeText } from './init-file.ts'
import { warn } from './output.ts'
import { createReleaseProgress } from './release-show.ts'

/** What the command was given. */
export type Options = {
  branch?: string
  alpineVersion?: string
  flavour: string
  arch: string
  source?: string
  mirror?: string
  packagesUrl?: string
  sync?: boolean
  key?: string
  fingerprint?: string
  trustKeys?: boolean
  interface?: string
  subnet?: string
  pool?: string
  router?: string
  sshKeys?: string
  dryRun?: boolean
}

/** One step of the plan: what was done about it, or would be. */
export type Step = { readonly step: string; readonly outcome: 'done' | 'there' | 'would' | 'open'; readonly text: string }

/** What every step is given: it notes what it did. */
export type Work = { readonly options: Options; readonly file: string; readonly isDry: boolean; readonly note: (step: Step) => void }

export const settle = (step: string, isNews: boolean, isDry: boolean, text: string): Step => ({
  step,
  outcome: isNews ? (isDry ? 'would' : 'done') : 'there',
  text,
})

export async function makeDepot({ depot }: Config, { isDry }: Work): Promise<Step> {
  const made = isDry ? await planDepot(depot) : await initDepot(depot)
  return settle('depot', made.length > 0, isDry, made.length ? `${depot}: ${made.join(', ')}` : depot)
}

export type Taken = Pick<ImportOutcome, 'id' | 'outcome'>

/** The release: fetched and verified, or there already. In a dry run it may be that nothing was fetched. */
export async function takeRelease(config: Config, { options, isDry, note }: Work): Promise<Taken> {
  const { branch, alpineVersion, flavour, arch, source = 'upstream', key, fingerprint, trustKeys } = options
  if (source === 'upstream' && !config.mirror.upstream)
    throw new InputError(
      'init-source',
      'say where Alpine comes from: --mirror https://dl-cdn.alpinelinux.org/alpine, or --source with an archive, an ISO image or a folder',
    )
  // Once trusted, nothing need be fetched again to look for them.
  const hasKeys = (await readTrustedKeys(config.packages.root)).size > 0
  const { stderr } = process
  const progress = createReleaseProgress(
    { isTerminal: stderr.isTTY === true, columns: stderr.columns ?? 80, write: (text) => void stderr.write(text) },
    Date.now,
  )
  const upstream = openUpstream(config)
  try {
    const outcome = await importRelease(
      {
        source,
        flavour,
        arch,
        ...(branch && { branch }),
        ...(alpineVersion && { version: alpineVersion }),
        ...(key && { key: resolve(key) }),
        ...(fingerprint && { fingerprint }),
        ...(trustKeys && !hasKeys && { trustKeys }),
        ...(!trustKeys && !hasKeys && (await canVerify(config, options)) && { requireSignature: true }),
        ...(source.endsWith('.iso') && !hasKeys && { withPackages: true }),
        dryRun: isDry,
      },
      {
        depot: config.depot,
        state: config.state,
        packagesRoot: config.packages.root,
        ...(config.mirror.upstream && { mirror: config.mirror.upstream }),
        upstream: () => upstream,
        onProgress: progress.show,
        now: Date.now,
      },
    )
    progress.end()
    const { verified } = outcome
    const proof =
      verified.signature === 'good'
        ? 'signature good'
        : verified.checksum === 'none'
          ? 'not verified'
          : `${verified.checksum} good, signature not checked`
    note(
      settle(
        'release',
        outcome.outcome !== 'there',
        isDry,
        `${outcome.id}, ${outcome.outcome === 'would' ? 'from' : `${proof}, from`} ${outcome.source}`,
      ),
    )
    note(await describeKeys(config, outcome, isDry))
    for (const { text } of outcome.warnings) warn(`note: ${text}`)
    return outcome
  } finally {
    progress.end()
    await upstream.close()
  }
}

/** Is the key there, and something that can be signed? Then a release that was imported before the key is looked at again. */
async function canVerify({ depot }: Config, { key, source }: Options): Promise<boolean> {
  const isFolder = source !== undefined && (await stat(source).catch(() => undefined))?.isDirectory() === true
  return !isFolder && (key !== undefined || (await readText(join(depot, 'keys/alpine.asc'))) !== undefined)
}

function openUpstream({ mirror }: Config) {
  const credentials = mirror.upstream && mirror.credentials ? readCredentials(mirror.credentials, mirror.upstream) : undefined
  return createUpstream({ ...(mirror.proxy && { proxy: mirror.proxy }), ...(credentials && { credentials }) })
}

async function describeKeys({ packages }: Config, { keys }: ImportOutcome, isDry: boolean): Promise<Step> {
  const names = [...(await readTrustedKeys(packages.root)).keys()]
  const added = keys.filter(({ outcome }) => outcome === 'added').map(({ name }) => name)
  if (isDry || names.length)
    return settle(
      'keys',
      added.length > 0,
      isDry,
      names.length ? `${names.length} trusted for packages, in ${join(packages.root, 'keys')}` : 'those of the release, when it is verified',
    )
  return {
    step: 'keys',
    outcome: 'open',
    text: `none is trusted yet, so no package is: put Alpine's release key at keys/alpine.asc in the depot and run this again, or say --trust-keys`,
  }
}

/** Packages belong to the release: whoever boots it gets those of its branch. */
export async function nameRepositories({ depot, mirror, packages }: Config, { id, outcome }: Taken, { isDry }: Work): Promise<Step> {
  const manifest = outcome === 'would' ? undefined : await readManifest(depot, id)
  const from =
    packages.url ?? (mirror.upstream ? `pulled through from ${mirror.upstream} when a station asks` : 'what the mirror holds: bivouac mirror import')
  if (manifest?.repositories.length) return settle('packages', false, isDry, `${manifest.repositories.join(', ')}: ${from}`)
  const branch = manifest?.branch ?? branchOf(id.split('/')[1] ?? '')
  const places = repositoriesOf(branch ?? 'edge')
  if (!isDry && outcome !== 'would') await setRepositories(depot, id, places)
  return settle('packages', true, isDry, `${places.join(', ')}: ${from}`)
}

const layerText = `# The first layer of every station: profiles/alpine.yaml names it. All keys: docs/overlays.md
description: what every station has
packages: []        # lines of /etc/apk/world, such as [openssh, htop]
root: locked        # no password fits; keys of sshkeys.pub do. Or a hash: openssl passwd -6
`

export async function layFirstLayer({ depot }: Config, { isDry }: Work): Promise<Step> {
  const path = join(depot, 'overlays/base/layer.yaml')
  const text = await readText(path)
  if (text === undefined && !isDry) {
    await mkdir(join(depot, 'overlays/base'), { recursive: true })
    await writeText(path, text, layerText)
  }
  return settle('layer', text === undefined, isDry, 'overlays/base/layer.yaml: services, network and host name come by themselves, root is locked')
}

/** The default profile boots this release with the first layer. One that says otherwise already keeps its word. */
export async function setProfile({ depot, site }: Config, { id, outcome }: Taken, { isDry }: Work): Promise<Step> {
  const name = site.defaultProfile
  const file = `profiles/${name}.yaml`
  const path = join(depot, file)
  const text = await readText(path)
  const said = /^release: *(\S+)/m.exec(text ?? '')?.[1]
  if (said !== undefined && said !== id)
    return { step: 'profile', outcome: 'there', text: `${file} boots ${said}; "bivouac release use ${id}" changes that` }
  const edit = isDry || outcome === 'would' ? undefined : await editProfile(depot, name, id)
  const after = appendKeys(edit?.after ?? text ?? 'kind: alpine\n', { layers: '[base]' })
  const isNews = after !== text
  if (edit && isNews) await applyEdits(depot, [{ ...edit, after }])
  return settle('profile', isNews, isDry, `${file}: release ${id}, layers [base]`)
}

export async function laySshKeys({ depot }: Config, { options, isDry }: Work): Promise<Step> {
  const path = join(depot, 'sshkeys.pub')
  const before = await readText(path)
  if (!options.sshKeys)
    return before === undefined
      ? { step: 'ssh keys', outcome: 'open', text: 'none: nobody can log in to a station with a locked root (--ssh-keys ~/.ssh/id_ed25519.pub)' }
      : settle('ssh keys', false, isDry, 'sshkeys.pub')
  const wanted = await readText(options.sshKeys)
  if (wanted === undefined) throw new MissingError('ssh-keys', `there is no file ${options.sshKeys}`)
  const known = new Set((before ?? '').split('\n'))
  const added = wanted.split('\n').filter((line) => line.trim() && !line.startsWith('#') && !known.has(line))
  const bad = added.find((line) => !/^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$/.test(line))
  if (bad !== undefined) throw new InputError('ssh-keys', `"${bad.slice(0, 40)}" is no public key of OpenSSH`, { file: options.sshKeys })
  if (added.length && !isDry) await writeText(path, before, `${before ?? ''}${before && !before.endsWith('\n') ? '\n' : ''}${added.join('\n')}\n`)
  return settle('ssh keys', added.length > 0, isDry, `sshkeys.pub: ${added.length ? `${added.length} added` : 'there'}`)
}

/** The document's gpxe.kpxe is one of the names. */
export function findLoaders({ depot }: Config): Step {
  const library = createLoaderLibrary({ depot, now: Date.now })
  const found = ['gpxe.kpxe', 'snponly.efi'].filter((name) => library.find(name))
  if (found.length === 2) return { step: 'loaders', outcome: 'there', text: 'BIOS (gpxe.kpxe, undionly.kpxe) and UEFI (snponly.efi)' }
  const missing = found.includes('gpxe.kpxe') ? 'UEFI' : found.length ? 'BIOS' : 'BIOS and UEFI'
  return {
    step: 'loaders',
    outcome: 'open',
    text: `none for ${missing}: install the package "ipxe", or bivouac ipxe build undionly --publish (docs/ipxe.md)`,
  }
}

export function describeDhcp({ networks }: Config, { isDry }: Work, isNew: boolean): Step {
  if (!networks.length)
    return {
      step: 'dhcp',
      outcome: 'there',
      text: 'off: nothing listens for DHCP until a network is declared (--interface, --subnet; docs/networks.md)',
    }
  return settle('dhcp', isNew, isDry, networks.map(({ name, mode }) => `${name} (${mode})`).join(', '))
}
