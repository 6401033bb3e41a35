// A recipe says what goes into a loader: target, script, options, certificates. One shape for YAML files, API bodies, flags and URLs.
// It holds everything itself: no path of this machine is ever read because a recipe names it (recipe-file.ts resolves the operator's own).
import { X509Certificate, createPrivateKey } from 'node:crypto'
import * as z from 'zod'
import { InputError } from '../boot/error.ts'
import { type Target, formatTarget, parseTarget } from './target.ts'

const plainName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'is a lower-case name')
const printable = z.string().regex(/^[\x20-\x7e]{0,500}$/, 'is up to 500 printable ASCII characters')
const pem = z.string().max(65_536)

const settings = z.record(
  z.string().regex(/^[A-Za-z_]\w{0,63}$/, 'is the name of an option'),
  z.union([z.boolean(), z.number(), z.string().max(500)]),
)

const script = z.union([
  z.strictObject({
    template: plainName,
    values: z.record(z.string().regex(/^[a-zA-Z]\w{0,31}$/), z.union([printable, z.number().transform(String)])).default({}),
  }),
  z.strictObject({ text: z.string().max(65_536) }),
])

const shape = z.strictObject({
  name: plainName.optional(),
  description: z.string().max(500).optional(),
  /** What make is asked for, `bin/undionly.kpxe`. */
  target: z.string().optional(),
  /** Or a disk image that we put together from several targets. */
  image: z.strictObject({ form: z.enum(['usb', 'iso']), of: z.array(z.string()).min(1).max(8) }).optional(),
  /** Name of a source in the state folder; the default release if absent. */
  source: plainName.optional(),
  script: script.optional(),
  /** A padded place for scripts, and places for CA fingerprints, that can be filled later without a compiler. */
  slot: z
    .strictObject({ scriptBytes: z.number().int().min(512).max(65_536).default(8192), authorities: z.number().int().min(0).max(4).default(0) })
    .optional(),
  options: settings.default({}),
  /** Options for the targets of one platform only; they win over `options`. */
  platformOptions: z.strictObject({ pcbios: settings.optional(), efi: settings.optional(), sbi: settings.optional() }).default({}),
  /** CA certificates that are trusted for HTTPS, instead of iPXE's own. */
  trust: z.array(pem).max(8).default([]),
  /** Lets the `trust` setting replace `trust` at run time. */
  trustOverride: z.boolean().default(false),
  /** Built in: parts of a chain, a client certificate. */
  certificates: z.array(pem).max(16).default([]),
  /** Key of the client certificate. Never shown, never in a URL. */
  key: pem.optional(),
  /** URL where iPXE looks for cross-signed certificates. */
  crosscert: printable.optional(),
  debug: z
    .array(z.string().regex(/^[a-z0-9_]{1,40}(:\d{1,3})?$/, 'is an object, or object:level'))
    .max(32)
    .default([]),
  /** A named configuration of iPXE: cloud, qemu, rpi, vbox… */
  config: z
    .string()
    .regex(/^[a-z0-9]{1,20}$/)
    .optional(),
  /** Prefix of the cross tools, where the usual one is not right. */
  cross: z
    .string()
    .regex(/^[a-z0-9_-]{1,60}-$/, 'is a tool prefix such as aarch64-linux-gnu-')
    .optional(),
})

export type Recipe = z.infer<typeof shape>
export type RecipeInput = z.input<typeof shape>

/**
 * Checks a recipe from anywhere: types, targets, certificates.
 * @param file for messages.
 * @throws InputError `recipe-bad`, `target-unknown` or `certificate-bad`, with the path to the field.
 */
export function parseRecipe(value: unknown, file?: string): Recipe {
  const result = shape.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]
    throw new InputError('recipe-bad', issue?.message ?? 'is no recipe', {
      ...(file ? { file } : {}),
      path: issue?.path.map(String).join('.') || 'recipe',
    })
  }
  const recipe = result.data
  if ((recipe.target === undefined) === (recipe.image === undefined))
    throw new InputError('recipe-bad', 'a recipe has either a target or an image', { path: 'target' })
  targetsOf(recipe)
  if (recipe.script && 'text' in recipe.script) checkScript(recipe.script.text, 'script.text')
  for (const [index, text] of recipe.trust.entries()) readCertificates(text, `trust.${index}`)
  for (const [index, text] of recipe.certificates.entries()) readCertificates(text, `certificates.${index}`)
  if (recipe.key !== undefined) checkKey(recipe.key)
  if (recipe.slot?.authorities && recipe.trust.length > recipe.slot.authorities)
    throw new InputError('recipe-bad', 'more CAs than places for them', { path: 'slot.authorities' })
  return recipe
}

/** What make is asked for: one target, or those of the image. */
export function targetsOf(recipe: Recipe): Target[] {
  return (recipe.image?.of ?? [recipe.target ?? '']).map(parseTarget)
}

/** A short name for people: `bin/undionly.kpxe` or `usb image of bin/ipxe.usb bin-x86_64-efi/ipxe.efi`. */
export function describeRecipe(recipe: Recipe): string {
  const targets = targetsOf(recipe).map(formatTarget)
  return recipe.image ? `${recipe.image.form} image of ${targets.join(' ')}` : (targets[0] ?? '')
}

/** @throws InputError `script-bad` unless iPXE would take the text as a script. */
export function checkScript(text: string, path = 'script'): void {
  if (!/^#!(ipxe|gpxe)\s*(\r?\n|$)/.test(text)) throw new InputError('script-bad', 'a script begins with the line #!ipxe', { path })
  if (text.includes('\0')) throw new InputError('script-bad', 'a script is text without NUL', { path })
}

/**
 * The certificates of a PEM text.
 * @throws InputError `certificate-bad` when there is none or one is broken.
 */
export function readCertificates(text: string, path: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block))
  } catch (cause) {
    throw new InputError('certificate-bad', 'holds a broken certificate', { path }, { cause })
  }
  throw new InputError('certificate-bad', 'is no PEM certificate', { path })
}

function checkKey(text: string): void {
  try {
    if (createPrivateKey(text).asymmetricKeyType === 'rsa') return
  } catch (cause) {
    throw new InputError('certificate-bad', 'is no PEM private key without pass phrase', { path: 'key' }, { cause })
  }
  throw new InputError('certificate-bad', 'iPXE takes RSA keys only', { path: 'key' })
}
