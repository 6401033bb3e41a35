// `bivouac media build <station>`: an image from which one station boots without a network. Works on the folders itself, with or without a server.
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { runTool } from '../ipxe/run.ts'
import type { MediaAsk } from '../media/ask.ts'
import { type MediaPlan, type MediaProgress, planMedia, writeMedia } from '../media/build.ts'
import { openMediaKey } from '../media/key.ts'
import { createLocalGate, type LocalGate } from '../server/local.ts'
import type { GatePlan } from '../station/plan.ts'
import { repositoriesOf } from '../station/repository.ts'
import type { Config } from '../config.ts'
import type { Context } from './context.ts'
import { formatTable, say, sayJson, warn } from './output.ts'

const examples = `
Examples:
  bivouac media build kiosk-1 -o kiosk-1.img                 then: dd if=kiosk-1.img of=/dev/sdX bs=4M, or burn it
  bivouac media build 52:54:00:12:34:56 -o /tmp/nomad.img
  bivouac media build kiosk-1 -o kiosk-1.img --with-secrets  its overlay holds secrets, and the image will too
  bivouac media build kiosk-1 --dry-run                      what would be in it, and how big`

type BuildOptions = { out?: string; withSecrets?: boolean; dryRun?: boolean }

export function addMediaCommand(program: Command, context: () => Context): void {
  const group = program.command('media').description('images from which a station boots without a network').addHelpText('after', examples)
  group
    .command('build <station>')
    .description('one image for stick and CD, BIOS and UEFI: loader, kernel, modules, overlay and all packages of a station (MAC or name)')
    .option('-o, --out <file>', 'where to (default: <host name>.img)')
    .option('--with-secrets', 'also when its overlay holds secrets')
    .option('--dry-run', 'check everything, list what would be in it, write nothing')
    .action((station: string, options: BuildOptions) => build(context(), station, options))
}

async function build(context: Context, station: string, options: BuildOptions): Promise<void> {
  const { config } = context.load()
  const local = await createLocalGate(config)
  const screen = createScreen(context.json)
  try {
    const ask = await describeStation(local, config, station, options)
    const deps = { run: runTool, onProgress: screen.show }
    const plan = await planMedia(ask, deps)
    const out = resolve(options.out ?? `${ask.name}.img`)
    if (!options.dryRun) await writeMedia(plan, out, deps)
    screen.end()
    answer(context, plan, out, options.dryRun === true)
  } finally {
    screen.end()
    local.close()
  }
}

/** All that the gate would give this station, as files of this machine. Throws MissingError and InputError with what to do. */
async function describeStation({ gate, records }: LocalGate, config: Config, station: string, options: BuildOptions): Promise<MediaAsk> {
  const { stations, stationByMac, releases } = records.current()
  const mac = findMac(station) ?? stations.find(({ name }) => name === station)?.macs[0]
  if (!mac) throw new MissingError('station', `"${station}" is neither a MAC address nor the name of a station`)
  const record = stationByMac.get(mac)
  const plan = await gate.plan(mac, {})
  const { boot, overlay } = wantAlpine(plan, station)
  const additions = plan.additions?.map(({ name, file }) => ({ name, file }))
  if (overlay.isSecret && !options.withSecrets)
    throw new InputError(
      'media-secret',
      `the overlay of ${station} holds secrets, and everybody who has the image can read them: say --with-secrets if they shall be on it`,
    )
  const release = releases.find(({ id }) => id === boot.files.releaseId)
  if (release?.arch !== undefined && release.arch !== 'x86_64')
    throw new InputError('media-arch', `images are made for x86_64 alone, and ${release.id} is for ${release.arch}`)
  const at = (path: string): string => join(config.depot, path)
  return {
    name: record?.hostname ?? overlay.report.hostname ?? record?.name ?? macName(mac),
    arch: 'x86_64',
    flavour: boot.files.flavour,
    kernel: at(boot.files.kernel),
    initramfs: at(boot.files.initramfs),
    ...(boot.files.modloop && { modloop: at(boot.files.modloop) }),
    ...(release && { release }),
    ...(additions && { additions }),
    overlay: overlay.file ?? at(overlay.path),
    world: overlay.report.world,
    repositories: findRepositories(repositoriesOf(boot), config),
    packagesRoot: config.packages.root,
    modules: boot.profile.modules,
    arguments: [...boot.profile.arguments, ...(record?.arguments ?? [])],
    signingKey: await openMediaKey(config.state, options.dryRun !== true),
  }
}

const macName = (mac: Mac): string => mac.replaceAll(':', '-')

function wantAlpine(plan: GatePlan, station: string): { boot: NonNullable<GatePlan['boot']>; overlay: NonNullable<GatePlan['overlay']> } {
  const { boot, overlay, profile, why } = plan
  if (boot && overlay) return { boot, overlay }
  const reason = why.findLast(({ held }) => !held)?.text ?? `its profile ${profile.name} boots nothing`
  throw new InputError(
    'media-station',
    `${station} cannot be made into an image: ${boot ? 'it has no overlay' : reason} ("bivouac explain ${station}" tells more)`,
  )
}

/** Paths below `apk/` are the mirror's; a URL is another server's, of which nothing lies here. */
function findRepositories(repositories: readonly string[], { packages }: Config): string[] {
  return repositories.map((one) => {
    const [, path] = /^\/?apk\/(.+)$/.exec(one) ?? []
    if (path === undefined)
      throw new InputError(
        'media-repositories',
        `${one} is no repository of this machine's mirror: an image can only hold packages that are here (bivouac mirror sync)`,
      )
    return join(packages.root, path)
  })
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`

function answer(context: Context, plan: MediaPlan, out: string, isDryRun: boolean): void {
  const { entries, sizeBytes, packages, notes, line, label } = plan
  if (context.json)
    return sayJson({
      out,
      written: !isDryRun,
      label,
      line,
      sizeBytes,
      packages,
      notes,
      files: entries.map(({ path, sizeBytes: size }) => ({ path, sizeBytes: size })),
    })
  for (const note of notes) warn(`note: ${note}`)
  const shown = entries.filter(({ path }) => !path.endsWith('.apk'))
  if (isDryRun) {
    say(
      formatTable(
        ['file', 'size'],
        shown.map((one) => [one.path, megabytes(one.sizeBytes)]),
      ),
    )
    say(`and ${packages.length} packages: ${packages.map(({ name }) => name).join(' ')}`)
    say(`kernel line: ${line}`)
  }
  say(`${isDryRun ? 'would write ' : ''}${out}: ${megabytes(sizeBytes)}, ${packages.length} packages, for stick and CD, BIOS and UEFI`)
}

type Screen = { readonly show: (progress: MediaProgress) => void; readonly end: () => void }

const stepNames = { packages: 'checking packages', drivers: 'looking for drivers', loader: 'making the loader', image: 'writing the image' } as const

/** One line that is written over on a terminal, one line for each step elsewhere. */
function createScreen(isQuiet: boolean): Screen {
  const { stderr } = process
  const isTerminal = stderr.isTTY === true
  let last = ''
  const show = ({ step, done, of }: MediaProgress): void => {
    if (isQuiet) return
    const text = of ? `${stepNames[step]} ${Math.round(((done ?? 0) / of) * 100)} %` : stepNames[step]
    const line = isTerminal ? text : stepNames[step]
    if (line === last) return
    last = line
    stderr.write(isTerminal ? `\r\x1b[K${line}` : `${line}\n`)
  }
  const end = (): void => {
    if (isTerminal && last) stderr.write('\r\x1b[K')
    last = ''
  }
  return { show, end }
}
