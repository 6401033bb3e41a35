// `bivouac ipxe …`: sources, builds, the library of artifacts, and what is announced. Works on the folders itself, with or without a server.
import { copyFile, readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { InputError } from '../boot/error.ts'
import type { Manifest } from '../ipxe/artifact.ts'
import { macrosOf } from '../ipxe/condition.ts'
import { defaultOf } from '../ipxe/option.ts'
import { patchArtifact } from '../ipxe/patch.ts'
import { renderTemplate } from '../ipxe/input.ts'
import { describeRecipe, type Recipe, targetsOf } from '../ipxe/recipe.ts'
import { listRecipes, readRecipe } from '../ipxe/recipe-file.ts'
import { defaultName } from '../ipxe/source.ts'
import { formatRecipeQuery, parseSetting } from '../ipxe/recipe-url.ts'
import { announcedNames, binDirs, mediaOf, parseTarget } from '../ipxe/target.ts'
import type { IpxeTools } from '../ipxe/tools.ts'
import { createProgressView, formatArtifacts, formatManifest, type Screen } from './ipxe-show.ts'
import { formatTable } from './output.ts'

export type IpxeDeps = {
  /** Opens the generator on the configured folders. `base`: the server's URL for embedded scripts, over the configured one. */
  readonly open: (base?: string) => Promise<IpxeTools>
  readonly json: () => boolean
  /** Answers, on standard output. */
  readonly say: (line: string) => void
  /** Progress, on standard error. */
  readonly screen: Screen
}

const examples = `
Examples:
  bivouac ipxe source add https://github.com/ipxe/ipxe.git --revision v2.0.0
  bivouac ipxe source add ./ipxe-2.0.0.tar.gz              without a network
  bivouac ipxe build undionly --publish                    a BIOS loader that knows this server, announced by DHCP
  bivouac ipxe build usb --base http://10.9.0.1:8080 --out stick.img
  bivouac ipxe build snponly-x86_64 --trust ca.pem --set BANNER_TIMEOUT=0 --publish
  bivouac ipxe patch undionly.kpxe --base http://10.9.0.2:8080 --publish    no compiler, at once
  bivouac ipxe publish undionly.kpxe --dry-run             the names that would be announced
  bivouac ipxe publish --rollback                          back to what was announced before
  bivouac ipxe source list
  bivouac ipxe recipes                                     the recipes that build takes
  bivouac ipxe targets bin/undionly.kpxe
  bivouac ipxe options banner
  bivouac ipxe list                                        what was built; show, diff and prune take from it
  bivouac ipxe show <artifact>
  bivouac ipxe diff <artifact> <artifact>
  bivouac ipxe prune`

type PatchFlags = { script?: string; base?: string; trust: string[]; publish?: boolean | string[]; out?: string; dryRun?: boolean }
type SourceFlags = { revision?: string; commit?: string; sha256?: string; name?: string; dryRun?: boolean }

type BuildFlags = {
  target?: string
  set: string[]
  script?: string
  template?: string
  value: string[]
  trust: string[]
  trustOverride?: boolean
  certificate: string[]
  key?: string
  crosscert?: string
  debug: string[]
  namedConfig?: string
  cross?: string
  source?: string
  base?: string
  publish?: boolean | string[]
  out?: string
  url?: boolean
  dryRun?: boolean
}

const collect = (value: string, all: string[]): string[] => [...all, value]

/** Adds the group. Every action opens the generator, works, and closes it. */
export function addIpxeCommand(program: Command, deps: IpxeDeps): void {
  const group = program.command('ipxe').description('build, patch and announce iPXE loaders').addHelpText('after', examples)
  const withTools =
    <A extends unknown[]>(work: (tools: IpxeTools, ...given: A) => Promise<void>, base?: (...given: A) => string | undefined) =>
    async (...given: A): Promise<void> => {
      const tools = await deps.open(base?.(...given))
      try {
        await work(tools, ...given)
      } finally {
        await tools.close()
      }
    }
  const answer = (value: unknown, text: () => string): void => deps.say(deps.json() ? JSON.stringify(value, null, 2) : text())

  addSourceCommands(group, withTools, answer)
  addBuildCommand(group, deps, withTools, answer)
  addLibraryCommands(group, withTools, answer)
  addFormCommands(group, withTools, answer)
}

type WithTools = <A extends unknown[]>(
  work: (tools: IpxeTools, ...given: A) => Promise<void>,
  base?: (...given: A) => string | undefined,
) => (...given: A) => Promise<void>
type Answer = (value: unknown, text: () => string) => void

function addSourceCommands(group: Command, withTools: WithTools, answer: Answer): void {
  const source = group.command('source').description("iPXE's source, pinned and kept in the state folder")
  source
    .command('add <from>')
    .description('a git URL, a tarball or a directory')
    .option('--revision <name>', 'branch, tag or commit of a git source')
    .option('--commit <hash>', 'refuse anything but this commit')
    .option('--sha256 <hash>', 'refuse a tarball or directory with another hash')
    .option('--name <name>', 'what recipes call it')
    .option('--dry-run', 'only tell what would be fetched')
    .action(
      withTools(async (tools, from: string, { dryRun, ...options }: SourceFlags) => {
        if (dryRun) {
          const name = options.name ?? defaultName({ from, ...options })
          const known = (await tools.sources.list()).find((one) => one.name === name)
          return answer({ from, name, known: known ?? null, added: false }, () =>
            known ? `${name} is there, ${known.pin}: ${from} would be fetched and must be the same` : `would fetch ${from} as ${name}`,
          )
        }
        const added = await tools.sources.add({ from, ...options })
        answer(added, () => `${added.name}: ${added.pin}, from ${added.from}`)
      }),
    )
  source
    .command('list')
    .description('what is there')
    .action(
      withTools(async (tools) => {
        const all = await tools.sources.list()
        answer(all, () =>
          formatTable(
            ['name', 'kind', 'pin', 'from'],
            all.map((one) => [one.name, one.kind, one.pin.slice(0, 24), one.from]),
          ),
        )
      }),
    )
}

function addBuildCommand(group: Command, deps: IpxeDeps, withTools: WithTools, answer: Answer): void {
  group
    .command('build [recipe]')
    .description('make a loader: one of our recipes, a recipe file, or --target alone')
    .option('--target <target>', 'such as bin/undionly.kpxe (bivouac ipxe targets lists them)')
    .option('--set <NAME=value>', 'an option of iPXE: on, off or a value (bivouac ipxe options)', collect, [])
    .option('--script <file>', 'embedded script of your own')
    .option('--template <name>', 'embedded script from ipxe/<name>.ipxe.ejs')
    .option('--value <name=value>', 'a value for the template', collect, [])
    .option('--base <url>', "the server's URL in the template, as stations see it")
    .option('--trust <pem>', 'CA to trust for HTTPS', collect, [])
    .option('--trust-override', 'let the setting trust replace it at run time')
    .option('--certificate <pem>', 'certificate to build in', collect, [])
    .option('--key <pem>', 'RSA key of the client certificate')
    .option('--crosscert <url>', 'where cross-signed certificates are')
    .option('--debug <object:level>', 'debug output of one object', collect, [])
    .option('--named-config <name>', "iPXE's CONFIG=")
    .option('--cross <prefix>', 'prefix of the cross tools')
    .option('--source <name>', 'which source')
    .option('--publish [names...]', 'announce it, under its usual names or these')
    .option('--out <file>', 'copy it there too')
    .option('--url', 'only show the recipe as a query that can be shared')
    .option('--dry-run', 'check the recipe, and only tell what would be made and announced')
    .action(
      withTools(
        async (tools, name: string | undefined, flags: BuildFlags) => {
          const recipe = await readRecipe(tools.recipesFolder, name ?? 'fleet', await overrides(flags))
          if (flags.url) return answer({ query: formatRecipeQuery(recipe) }, () => formatRecipeQuery(recipe))
          if (flags.dryRun) {
            const plan = await planBuild(tools, recipe, flags)
            return answer(
              plan,
              () => `would make ${plan.what}, ${plan.source}${plan.announce.length ? `, and announce ${plan.announce.join(' ')}` : ''}`,
            )
          }
          const manifest = await follow(tools, deps, tools.builds.start(recipe, flags.publish ?? false).id)
          if (flags.out) await copyFile(tools.artifacts.pathOf(manifest), flags.out)
          answer(
            manifest,
            () =>
              `${manifest.file}: ${manifest.sizeBytes} bytes, artifact ${manifest.fingerprint.slice(0, 12)}${flags.publish ? ', announced' : ''}${flags.out ? `, in ${flags.out}` : ''}`,
          )
        },
        (_, flags) => flags.base,
      ),
    )
}

/** What a build would do; nothing is fetched and no tool is asked. */
async function planBuild(
  { sources }: IpxeTools,
  recipe: Recipe,
  { publish }: BuildFlags,
): Promise<{ what: string; source: string; announce: string[] }> {
  const known = await sources.list()
  const source = recipe.source === undefined && known.length === 1 ? known[0] : known.find(({ name }) => name === recipe.source)
  const usual = targetsOf(recipe).flatMap((target) => announcedNames(target))
  return {
    what: describeRecipe(recipe),
    source: source
      ? `from source ${source.name} (${source.pin})`
      : recipe.source === undefined
        ? 'from the pinned source, fetched if it is not here'
        : `from source ${recipe.source}, which is not here yet`,
    announce: publish === true ? usual : [...(publish || [])],
  }
}

/** Flags as members of a recipe; files are read here, because they are the operator's own. */
async function overrides(flags: BuildFlags): Promise<Record<string, unknown>> {
  const pairs = (all: readonly string[], what: string): [string, string][] =>
    all.map((text) => {
      const at = text.indexOf('=')
      if (at < 1) throw new InputError('flag-value', `${what} takes NAME=value, not ${JSON.stringify(text)}`)
      return [text.slice(0, at), text.slice(at + 1)]
    })
  const read = (path: string): Promise<string> =>
    readFile(path, 'utf8').catch((cause) => {
      throw new InputError('flag-file', `there is no file ${path}`, {}, { cause })
    })
  const all = (paths: readonly string[]): Promise<string[]> => Promise.all(paths.map(read))
  const values = Object.fromEntries(pairs(flags.value, '--value'))
  const { target, crosscert, cross, source, namedConfig, trustOverride } = flags
  return {
    ...Object.fromEntries(
      Object.entries({ target, crosscert, cross, source, config: namedConfig, trustOverride }).filter(([, value]) => value !== undefined),
    ),
    options: Object.fromEntries(pairs(flags.set, '--set').map(([name, value]) => [name, parseSetting(value)])),
    ...(flags.trust.length > 0 ? { trust: await all(flags.trust) } : {}),
    ...(flags.certificate.length > 0 ? { certificates: await all(flags.certificate) } : {}),
    ...(flags.key ? { key: await read(flags.key) } : {}),
    ...(flags.debug.length > 0 ? { debug: flags.debug } : {}),
    ...(flags.script
      ? { script: { text: await read(flags.script) } }
      : flags.template || flags.value.length > 0
        ? { script: { ...(flags.template ? { template: flags.template } : {}), values } }
        : {}),
  }
}

/** Waits with a live line; Ctrl-C stops make and all its children. */
async function follow(tools: IpxeTools, { screen }: IpxeDeps, id: string): Promise<Manifest> {
  const view = createProgressView(screen, tools.now)
  const stop = tools.builds.listen(id, (event) => {
    if (event.kind === 'state') view.show(event.build)
  })
  const cancel = (): void => void tools.builds.cancel(id)
  process.once('SIGINT', cancel)
  try {
    return await tools.builds.wait(id)
  } finally {
    process.removeListener('SIGINT', cancel)
    stop()
    view.end()
  }
}

function addLibraryCommands(group: Command, withTools: WithTools, answer: Answer): void {
  group
    .command('list')
    .description('what was built')
    .action(
      withTools(async (tools) => {
        const [all, now] = [await tools.artifacts.list(), await tools.publisher.current()]
        answer({ artifacts: all, announced: now?.names ?? {} }, () => formatArtifacts(all, now?.names ?? {}))
      }),
    )
  group
    .command('show <artifact>')
    .description('its manifest; an artifact is its first digits or a name that is announced')
    .action(
      withTools(async (tools, id: string) => {
        const manifest = await findArtifact(tools, id)
        answer(manifest, () => formatManifest(manifest))
      }),
    )
  group
    .command('diff <artifact> <other>')
    .description('what is different')
    .action(
      withTools(async (tools, id: string, other: string) => {
        const rows = tools.artifacts.diff(await findArtifact(tools, id), await findArtifact(tools, other))
        answer(rows, () => rows.map(([path, a, b]) => `${path}\n  - ${a ?? '(none)'}\n  + ${b ?? '(none)'}`).join('\n'))
      }),
    )
  group
    .command('publish [artifact] [names...]')
    .description('announce it under its usual names, or under these; all names change in one step')
    .option('--rollback', 'back to what was announced before')
    .option('--remove', 'announce these names no more (give names only)')
    .option('--dry-run', 'check it, and only show what would be announced then')
    .action(
      withTools(async (tools, id: string | undefined, names: string[], options: { rollback?: boolean; remove?: boolean; dryRun?: boolean }) => {
        const { publisher } = tools
        const set = options.rollback
          ? await publisher.rollback(options.dryRun)
          : options.remove
            ? await publisher.unpublish([...(id === undefined ? [] : [id]), ...names], options.dryRun)
            : await publisher.publish(await findArtifact(tools, id ?? ''), names.length > 0 ? names : undefined, options.dryRun)
        answer(set, () =>
          formatTable(
            ['name', 'artifact'],
            Object.entries(set.names).map(([name, fingerprint]) => [name, fingerprint.slice(0, 12)]),
          ),
        )
      }),
    )
  group
    .command('prune')
    .description('remove old artifacts; those that are or were lately announced stay')
    .option('--keep <count>', 'newest ones to keep', '20')
    .option('--dry-run', 'only tell how many would go')
    .action(
      withTools(async (tools, options: { keep: string; dryRun?: boolean }) => {
        if (!/^\d{1,5}$/.test(options.keep)) throw new InputError('flag-value', '--keep takes a whole number')
        const done = await tools.artifacts.prune(Number(options.keep), await tools.publisher.inUse(), options.dryRun)
        answer(done, () => `${done.removed.length} ${options.dryRun ? 'would be ' : ''}removed, ${Math.round(done.freedBytes / 1024)} kB freed`)
      }),
    )
  group
    .command('patch <artifact>')
    .description('another script or other CAs, without a compiler')
    .option('--script <file>', 'the new script')
    .option('--base <url>', "our own script with the server's URL")
    .option('--trust <pem>', 'CA to trust', collect, [])
    .option('--publish [names...]', 'announce it, under its usual names or these')
    .option('--out <file>', 'copy it there too')
    .option('--dry-run', 'make it, and neither keep nor announce it')
    .action(
      withTools(async (tools, id: string, options: PatchFlags) => {
        const script = options.script
          ? await readFile(options.script, 'utf8')
          : options.base
            ? await renderTemplate(tools.recipesFolder, 'boot', { base: options.base })
            : undefined
        const trust = options.trust.length > 0 ? await Promise.all(options.trust.map((path) => readFile(path, 'utf8'))) : undefined
        const base = await findArtifact(tools, id)
        const change = { ...(script === undefined ? {} : { script }), ...(trust ? { trust } : {}) }
        const patched = await patchArtifact(tools.artifacts, base, change, tools.now, options.dryRun)
        if (options.dryRun)
          return answer(patched, () => `good, would keep ${patched.file}: ${patched.sizeBytes} bytes, artifact ${patched.fingerprint.slice(0, 12)}`)
        if (options.publish) await tools.publisher.publish(patched, options.publish === true ? undefined : options.publish)
        if (options.out) await copyFile(tools.artifacts.pathOf(patched), options.out)
        answer(
          patched,
          () =>
            `${patched.file}: ${patched.sizeBytes} bytes in ${patched.durationMs} ms, artifact ${patched.fingerprint.slice(0, 12)}${options.publish ? ', announced' : ''}`,
        )
      }),
    )
}

/** By a name that is announced, or by the first digits of the fingerprint. */
async function findArtifact({ artifacts, publisher }: IpxeTools, id: string): Promise<Manifest> {
  return artifacts.show((await publisher.current())?.names[id] ?? id)
}

function addFormCommands(group: Command, withTools: WithTools, answer: Answer): void {
  group
    .command('recipes')
    .description('the recipes that come with Bivouac')
    .action(
      withTools(async (tools) => {
        const all = await listRecipes(tools.recipesFolder)
        answer(all, () =>
          formatTable(
            ['recipe', 'target', 'what'],
            all.map((one) => [one.name, one.target, one.description]),
          ),
        )
      }),
    )
  group
    .command('targets [target]')
    .description('what make can make; with a target, under which names it is announced')
    .action(
      withTools(async (_, target: string | undefined) => {
        if (target !== undefined) return answer(announcedNames(parseTarget(target)), () => announcedNames(parseTarget(target)).join('\n'))
        const rows = [...binDirs.values()].map((one) => [one.name, one.arch, one.platform, Object.keys(mediaOf[one.platform]).join(' ')])
        answer({ binDirs: [...binDirs.values()], media: mediaOf }, () => formatTable(['folder', 'arch', 'platform', 'media'], rows))
      }),
    )
  group
    .command('options [words...]')
    .description('options of the source in use, those whose name or text contains the words; with their default')
    .option('--source <name>', 'which source')
    .option('--folder <bin folder>', 'for which the defaults are shown', 'bin')
    .action(
      withTools(async (tools, words: string[], options: { source?: string; folder: string }) => {
        const binDir = binDirs.get(options.folder)
        if (!binDir) throw new InputError('target-unknown', `folders: ${[...binDirs.keys()].join(' ')}`)
        const source = await tools.sources.find(options.source)
        const defined = macrosOf(binDir, await tools.sources.defaults(source, binDir.platform))
        const rows = [...(await tools.sources.options(source)).options.values()]
          .filter((one) => words.every((word) => `${one.name} ${one.description} ${one.header}`.toLowerCase().includes(word.toLowerCase())))
          .map((one) => ({ name: one.name, header: one.header, kind: one.kind, default: defaultOf(one, defined), description: one.description }))
        const shown = (value: string | boolean): string => (value === true ? 'on' : value === false ? 'off' : value)
        answer(rows, () =>
          formatTable(
            ['option', 'default', 'header', 'what'],
            rows.map((one) => [one.name, shown(one.default), one.header, one.description.slice(0, 80)]),
          ),
        )
      }),
    )
}
