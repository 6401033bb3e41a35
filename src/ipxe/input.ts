// From a recipe to everything that one make needs: source, headers, files, tool chain, and the fingerprint over them. Used by build.
// All refusals of a recipe happen here or before, none in make.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import ejs from 'ejs'
import { InputError, MissingError } from '../boot/error.ts'
import { type Fingerprint, fingerprintOf, sha256 } from './fingerprint.ts'
import { checkScript, type Recipe, readCertificates, targetsOf } from './recipe.ts'
import type { Run } from './run.ts'
import { renderHeaders, type Settings } from './setting.ts'
import { renderSlot } from './slot.ts'
import type { Source, Sources } from './source.ts'
import { formatTarget, type Target } from './target.ts'
import { probeToolchain, requireToolchain, type Toolchain } from './toolchain.ts'

/** Everything that decides the bytes of one binary. */
export type Input = {
  readonly fingerprint: Fingerprint
  readonly target: Target
  readonly source: Source
  readonly settings: Settings
  readonly headers: Readonly<Record<string, string>>
  /** What is embedded; with a slot it is padded to the slot's size. */
  readonly embed?: Uint8Array
  /** The script as its author wrote it. */
  readonly script?: string
  readonly slot?: { readonly scriptBytes: number; readonly authorities: readonly string[] }
  readonly trust: readonly string[]
  readonly trustOverride: boolean
  readonly certificates: readonly string[]
  readonly key?: string
  readonly debug: readonly string[]
  readonly config?: string
  readonly toolchain: Toolchain
}

export type PrepareOptions = {
  readonly sources: Sources
  readonly run: Run
  /** Folder with the templates `<name>.ipxe.ejs` and the placeholder certificate. */
  readonly recipesFolder: string
  /** Values for templates that the recipe does not set, such as `base`, the server's URL. */
  readonly site: Readonly<Record<string, string>>
}

/** One input for each target of the recipe. @throws InputError, MissingError, OutsideError `toolchain-missing`. */
export async function prepare(recipe: Recipe, options: PrepareOptions): Promise<Input[]> {
  const source = await options.sources.find(recipe.source)
  const book = await options.sources.options(source)
  const common: Settings = { ...recipe.options, ...(recipe.crosscert === undefined ? {} : { CROSSCERT: recipe.crosscert }) }
  const script = await readScript(recipe, options)
  const trust = await listTrust(recipe, options.recipesFolder)
  const certificates = recipe.certificates.flatMap((text, index) => readCertificates(text, `certificates.${index}`)).map((one) => one.toString())
  const slot = recipe.slot && { scriptBytes: recipe.slot.scriptBytes, authorities: recipe.slot.authorities > 0 ? trust.map(digestOf) : [] }
  if (recipe.slot && script === undefined) throw new InputError('recipe-bad', 'a slot needs a script to begin with', { path: 'script' })
  const embed = script === undefined ? undefined : slot ? renderSlot(script, slot.scriptBytes) : Buffer.from(script)
  const inputs: Input[] = []
  for (const target of targetsOf(recipe)) {
    const settings: Settings = { ...common, ...recipe.platformOptions[target.binDir.platform] }
    const headers = renderHeaders(book, settings)
    const toolchain = await probeToolchain(options.run, {
      target,
      certificates: trust.length + certificates.length > 0,
      ...(recipe.cross === undefined ? {} : { cross: recipe.cross }),
    })
    requireToolchain(toolchain)
    const rest = {
      ...{ target, source, settings, headers, trust, trustOverride: recipe.trustOverride, certificates, debug: recipe.debug, toolchain },
      ...(embed === undefined ? {} : { embed }),
      ...(script === undefined ? {} : { script }),
      ...(slot === undefined ? {} : { slot }),
      ...(recipe.key === undefined ? {} : { key: recipe.key }),
      ...(recipe.config === undefined ? {} : { config: recipe.config }),
    }
    inputs.push({ ...rest, fingerprint: fingerprintInput(rest) })
  }
  return inputs
}

function fingerprintInput({
  target,
  source,
  headers,
  embed,
  trust,
  trustOverride,
  certificates,
  key,
  debug,
  config,
  toolchain,
}: Omit<Input, 'fingerprint'>): Fingerprint {
  return fingerprintOf({
    form: 1,
    target: formatTarget(target),
    source: { pin: source.pin, epoch: source.epoch },
    headers,
    embed: embed && sha256(embed),
    trust: trust.map(sha256),
    trustOverride,
    certificates: certificates.map(sha256),
    key: key && sha256(key),
    debug,
    config,
    toolchain: [toolchain.id, toolchain.crossPrefix],
  })
}

/** SHA-256 over the DER form, 64 hex digits: what iPXE compares. */
export const digestOf = (pem: string): string => sha256(new X509Certificate(pem).raw)

async function readScript(recipe: Recipe, { recipesFolder, site }: PrepareOptions): Promise<string | undefined> {
  if (recipe.script === undefined) return undefined
  if ('text' in recipe.script) return recipe.script.text
  const { template, values } = recipe.script
  return renderTemplate(recipesFolder, template, { ...site, ...values })
}

/**
 * An embedded script from `<folder>/<name>.ipxe.ejs`.
 * @throws MissingError `template-missing`; InputError `template-value` when it wants a value that nobody gave.
 */
export async function renderTemplate(folder: string, name: string, values: Readonly<Record<string, string>>): Promise<string> {
  const text = await readFile(join(folder, `${name}.ipxe.ejs`), 'utf8').catch((cause) => {
    throw new MissingError('template-missing', `there is no script template ${name} (${name}.ipxe.ejs)`, { cause })
  })
  // A value that nobody gave must not become the word "undefined" in a loader.
  const print = (value: unknown): string => {
    if (typeof value === 'string') return value
    throw new Error('it wants a value that is not given')
  }
  const includer = (other: string): ejs.IncluderResult => ({ template: readPartial(folder, other) }) as ejs.IncluderResult
  let script: string
  try {
    script = ejs.render(text, { ...values }, { strict: true, localsName: 'it', escape: print, includer })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const line = Number(/^ejs:(\d+)/.exec(message)?.[1] ?? 0)
    throw new InputError(
      'template-value',
      message.trim().split('\n').at(-1) ?? '',
      { file: `${name}.ipxe.ejs`, ...(line > 0 ? { line } : {}) },
      { cause },
    )
  }
  checkScript(script, 'script.template')
  return script
}

/** A piece that templates share: beside them, or in scripts-templates/. */
function readPartial(folder: string, name: string): string {
  for (const path of [join(folder, `${name}.ejs`), join(folder, '../scripts-templates', `${name}.ejs`)]) {
    try {
      return readFileSync(path, 'utf8').replace(/\n$/, '')
    } catch {
      // It may be in the next place.
    }
  }
  throw new Error(`there is no piece ${name}`)
}

/** The CA certificates for make, one each; with places for CAs exactly as many as there are places. */
async function listTrust(recipe: Recipe, recipesFolder: string): Promise<string[]> {
  const given = recipe.trust.flatMap((text, index) => readCertificates(text, `trust.${index}`)).map((one) => one.toString())
  const places = recipe.slot?.authorities ?? 0
  if (places === 0) return given
  if (given.length > places) throw new InputError('recipe-bad', 'more CAs than places for them', { path: 'slot.authorities' })
  // Nobody holds the key of the placeholder: such a loader trusts no server until its places are filled.
  const fill =
    given.at(-1) ?? readCertificates(await readFile(join(recipesFolder, 'placeholder-ca.pem'), 'utf8'), 'placeholder-ca.pem')[0]?.toString() ?? ''
  return Array.from({ length: places }, (_, index) => given[index] ?? fill)
}
