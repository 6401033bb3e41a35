// `bivouac apk …`: the site's own packages and its signing key, and what a world brings onto a station. Works on the folders themselves.
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { createCatalog } from '../apk/catalog.ts'
import { resolveWorld } from '../apk/closure.ts'
import { splitWorld } from '../apk/dependency.ts'
import { indexFileName, readIndex } from '../apk/index-file.ts'
import { DecodeError, InputError, MissingError } from '../boot/error.ts'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readTrustedKeys } from '../mirror/key.ts'
import { listPlaces, type Place, privateFolder } from '../mirror/place.ts'
import { addPackages, privateRepository, removePackages, writePrivateIndex } from '../mirror/private.ts'
import { createSiteKey, listSiteKeys, openSiteKey, type SiteKey } from '../mirror/site-key.ts'
import { alwaysInstalled } from '../mirror/wanted.ts'
import { withMirrorLock } from '../server/mirror.ts'
import type { Context } from './context.ts'
import { choosePlaces, listStationWorlds, type PlaceOptions, placeFlags } from './mirror-places.ts'
import { formatMissing } from './mirror-show.ts'
import { formatTable, say, sayJson } from './output.ts'
import { formatSize } from './release-show.ts'

const examples = `
Examples:
  bivouac apk key create                             the site's key pair; once
  bivouac apk key show                               its names and fingerprint
  bivouac apk add site kiosk-1.2-r0.apk              into the repository apk/private/site
  bivouac apk add site tool.apk --allow-untrusted    signed with the site's key, for nobody we trust has
  bivouac apk list site                              what is in it
  bivouac apk remove site kiosk-1.2-r0               one version; without a version all of them
  bivouac apk index site                             write the signed index anew
  bivouac apk resolve openssh nginx                  what these bring onto a station, and what nobody has
  bivouac apk resolve --station kiosk-1 --branch v3.22`

export function addApkCommand(program: Command, context: () => Context): void {
  const group = program.command('apk').description('own packages, the key that signs them, and what a world brings').addHelpText('after', examples)
  addKeyCommands(group, context)
  group
    .command('add <repository> <files...>')
    .description('take packages into a private repository and sign its index')
    .option('--allow-untrusted', "also packages that no trusted key has signed: the site's key signs them")
    .option('--arch <archs>', 'where packages for every architecture go, separated by commas', 'x86_64')
    .option('--key <name>', 'which site key signs')
    .option('--dry-run', 'check them and change nothing')
    .action((repository: string, files: string[], options: AddFlags) => add(context(), repository, files, options))
  group
    .command('remove <repository> <packages...>')
    .description('take packages out of a private repository')
    .option('--key <name>', 'which site key signs')
    .option('--dry-run', 'only tell what would go')
    .action((repository: string, names: string[], options: { key?: string; dryRun?: boolean }) => remove(context(), repository, names, options))
  group
    .command('list [repository]')
    .description('packages of the private repositories')
    .action((repository: string | undefined) => list(context(), repository))
  group
    .command('index <repository>')
    .description('check every package of a private repository and write its signed index anew')
    .option('--key <name>', 'which site key signs')
    .option('--dry-run', 'only tell what would be written')
    .action((repository: string, options: { key?: string; dryRun?: boolean }) => index(context(), repository, options))
  placeFlags(group.command('resolve [world...]').description('what a world brings from the repositories that are mirrored here, and what is missing'))
    .option('--station <name>', "the world of this station's overlay")
    .action((world: string[], options: PlaceOptions & { station?: string }) => resolve(context(), world, options))
}

const foldersOf = ({ load }: Context) => {
  const { state, packages } = load().config
  return { state, root: packages.root }
}

function addKeyCommands(group: Command, context: () => Context): void {
  const key = group.command('key').description("the site's key pair")
  key
    .command('create [name]')
    .description('make it; the private half stays in the state folder')
    .option('--dry-run', 'only tell the files')
    .action(async (given: string | undefined, options: { dryRun?: boolean }) => {
      const name = given ?? `site-${randomBytes(4).toString('hex')}`
      const { state, root } = foldersOf(context())
      if (options.dryRun) return say(`would make ${join(state, 'keys', `${name}.rsa`)} and ${join(root, 'keys', `${name}.rsa.pub`)}`)
      const made = await createSiteKey({ state, root }, name)
      if (context().json) return sayJson(made)
      say(formatKey(made))
      say('Stations need it: name it in the keys of a layer, or trust it as an addition to the initramfs (docs/packages.md).')
    })
  key
    .command('show')
    .description('the key pairs that are here')
    .action(async () => {
      const all = await listSiteKeys(foldersOf(context()))
      if (context().json) return sayJson(all)
      say(all.map(formatKey).join('\n') || 'no key yet: bivouac apk key create')
    })
}

const formatKey = ({ name, bits, publicFile, fingerprint }: SiteKey): string =>
  `${name}: RSA ${bits}, ${publicFile}, SHA-256 ${fingerprint.slice(0, 16)}`

type AddFlags = { allowUntrusted?: boolean; arch: string; key?: string; dryRun?: boolean }

async function add(context: Context, repository: string, files: readonly string[], flags: AddFlags): Promise<void> {
  const { config } = context.load()
  const folders = foldersOf(context)
  const key = await openSiteKey(folders, flags.key)
  const keys = await readTrustedKeys(folders.root)
  const { allowUntrusted = false, dryRun = false } = flags
  const options = { root: folders.root, repository, key, keys, allowUntrusted, archs: flags.arch.split(','), now: Date.now, dryRun }
  const added = await withMirrorLock(config, () => addPackages(files, options))
  if (context.json) return sayJson(added.map((one) => ({ ...one, added: !dryRun })))
  for (const { folder, file, signedBy, isResigned, isNew } of added)
    say(
      `${isNew ? (dryRun ? 'would add' : 'added') : 'there already:'} ${folder}/${file}, ${isResigned ? `signed anew with ${signedBy}` : `signed by ${signedBy}`}`,
    )
  say(`for a profile or layer:  repositories: [apk/${privateRepository(repository)}]`)
}

async function remove(context: Context, repository: string, names: readonly string[], flags: { key?: string; dryRun?: boolean }): Promise<void> {
  const { config } = context.load()
  const folders = foldersOf(context)
  const key = await openSiteKey(folders, flags.key)
  const removed = await withMirrorLock(config, () =>
    removePackages(names, { root: folders.root, repository, key, now: Date.now, dryRun: flags.dryRun === true }),
  )
  if (context.json) return sayJson({ files: removed, removed: !flags.dryRun })
  for (const path of removed) say(`${flags.dryRun ? 'would remove' : 'removed'} ${path}`)
}

const readPlace = async (root: string, { folder }: Place) => {
  try {
    return readIndex(await readFile(join(root, folder, indexFileName)))
  } catch (error) {
    if (error instanceof DecodeError) throw new DecodeError(error.code, `${folder}/${indexFileName}: ${error.message}`, { cause: error })
    throw error
  }
}

async function list(context: Context, repository: string | undefined): Promise<void> {
  const { root } = foldersOf(context)
  const places = await listPlaces(root, repository === undefined ? privateFolder : privateRepository(repository))
  const all = await Promise.all(places.map(async (place) => ({ ...place, packages: (await readPlace(root, place)).packages })))
  if (context.json) return sayJson(all)
  const rows = all.flatMap((place) =>
    place.packages.map(({ name, version, sizeBytes, description }) => [
      place.repository,
      place.arch,
      name,
      version,
      formatSize(sizeBytes),
      description,
    ]),
  )
  say(rows.length ? formatTable(['repository', 'arch', 'package', 'version', 'size', ''], rows) : 'no private packages yet: bivouac apk add')
}

async function index(context: Context, repository: string, flags: { key?: string; dryRun?: boolean }): Promise<void> {
  const { config } = context.load()
  const folders = foldersOf(context)
  const key = await openSiteKey(folders, flags.key)
  const places = await listPlaces(folders.root, privateRepository(repository))
  if (!places.length)
    throw new InputError('repository-empty', `there is no repository ${privateRepository(repository)}: bivouac apk add ${repository} *.apk`)
  for (const { folder } of places) {
    const count = flags.dryRun
      ? (await readPlace(folders.root, { folder, repository, arch: '' })).packages.length
      : (await withMirrorLock(config, () => writePrivateIndex(folder, { root: folders.root, key, now: Date.now }))).length
    if (!context.json) say(`${flags.dryRun ? 'would write ' : ''}${folder}/${indexFileName}: ${count} packages, signed with ${key.keyName}`)
  }
  if (context.json) sayJson(places)
}

async function resolve(context: Context, world: readonly string[], options: PlaceOptions & { station?: string }): Promise<void> {
  const { config } = context.load()
  const { root } = config.packages
  const stations = options.station === undefined ? [] : await listStationWorlds(config, options.station)
  const words = [...world.flatMap(splitWorld), ...stations.flat(), ...(options.station === undefined ? [] : alwaysInstalled)]
  if (!words.length) throw new InputError('world-empty', 'name packages, or a station with --station')
  const places = await choosePlaces(root, options, 'branches')
  const kinds = [
    ...new Set(
      places
        .filter(({ repository }) => !repository.startsWith(`${privateFolder}/`))
        .map(({ repository, arch }) => `${repository.split('/').at(-2)} ${arch}`),
    ),
  ]
  if (kinds.length > 1) throw new InputError('resolve-which', `there are ${kinds.join(', ')}: say which with --branch and --arch`)
  if (!places.length) throw new MissingError('mirror-empty', 'no index of that kind is here: "bivouac mirror status" shows what is')
  const repositories = await Promise.all(
    places.map(async (place) => ({ place: place.repository, packages: (await readPlace(root, place)).packages })),
  )
  const closure = resolveWorld(words, createCatalog(repositories, places[0]?.arch))
  const packages = closure.packages.map(({ place, package: one }) => ({
    name: one.name,
    version: one.version,
    repository: place,
    sizeBytes: one.sizeBytes,
    installedBytes: one.installedBytes,
  }))
  if (context.json) return sayJson({ world: words, packages, missing: closure.missing })
  say(
    formatTable(
      ['package', 'version', 'repository', 'size'],
      packages.map((one) => [one.name, one.version, one.repository, formatSize(one.sizeBytes)]),
    ),
  )
  const sum = (key: 'sizeBytes' | 'installedBytes'): string => formatSize(packages.reduce((total, one) => total + one[key], 0))
  say(`${packages.length} packages, ${sum('sizeBytes')} to fetch, ${sum('installedBytes')} in the station's memory`)
  for (const line of formatMissing(closure.missing)) say(line)
}
