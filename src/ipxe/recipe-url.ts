// A recipe as the query of a URL, to be shared or kept as a bookmark, and back. Used by the API and the command line.
// Private keys never go into a URL.
import { X509Certificate } from 'node:crypto'
import { InputError } from '../boot/error.ts'
import { type Recipe, type RecipeInput, parseRecipe, readCertificates } from './recipe.ts'

/** The query (without `?`), keys in a fixed order. @throws InputError `recipe-secret` for a recipe with a key. */
export function formatRecipeQuery(recipe: Recipe): string {
  if (recipe.key !== undefined) throw new InputError('recipe-secret', 'a recipe with a private key has no URL', { path: 'key' })
  const query = new URLSearchParams()
  const put = (name: string, value: string | number | boolean | undefined): void => {
    if (value !== undefined && value !== false) query.append(name, String(value))
  }
  put('target', recipe.target)
  put('image', recipe.image?.form)
  for (const target of recipe.image?.of ?? []) put('of', target)
  for (const name of ['name', 'description', 'source', 'crosscert', 'config', 'cross'] as const) put(name, recipe[name])
  if (recipe.script && 'template' in recipe.script) {
    put('template', recipe.script.template)
    for (const [name, value] of Object.entries(recipe.script.values)) put(`v.${name}`, String(value))
  }
  if (recipe.script && 'text' in recipe.script) put('script', recipe.script.text)
  put('slot', recipe.slot && `${recipe.slot.scriptBytes},${recipe.slot.authorities}`)
  for (const [name, value] of Object.entries(recipe.options)) query.append(`o.${name}`, formatSetting(value))
  for (const [platform, settings] of Object.entries(recipe.platformOptions))
    for (const [name, value] of Object.entries(settings ?? {})) query.append(`${platform}.${name}`, formatSetting(value))
  for (const text of recipe.trust) put('trust', toDer(text, 'trust'))
  put('trustOverride', recipe.trustOverride)
  for (const text of recipe.certificates) put('certificate', toDer(text, 'certificates'))
  for (const one of recipe.debug) put('debug', one)
  return query.toString()
}

const toDer = (text: string, path: string): string =>
  readCertificates(text, path)
    .map(({ raw }) => raw.toString('base64url'))
    .join('.')

/** @throws InputError for a name that no recipe has, or anything that parseRecipe refuses. */
export function parseRecipeQuery(text: string): Recipe {
  if (text.length > 200_000) throw new InputError('recipe-bad', 'the query is too long')
  const query = new URLSearchParams(text)
  const one = (name: string): string | undefined => query.get(name) ?? undefined
  for (const name of query.keys())
    if (!known.has(name) && !/^(o|v|pcbios|efi|sbi)\./.test(name))
      throw new InputError('recipe-bad', 'is no part of a recipe', { path: name.slice(0, 64) })
  const plain = Object.fromEntries(
    ['target', 'name', 'description', 'source', 'crosscert', 'config', 'cross'].flatMap((name) => (query.has(name) ? [[name, one(name)]] : [])),
  )
  const [scriptBytes, authorities] = (one('slot') ?? '').split(',').map(Number)
  const input: Partial<Record<keyof RecipeInput, unknown>> = {
    ...plain,
    ...(query.has('image') ? { image: { form: one('image'), of: query.getAll('of') } } : {}),
    ...(query.has('template')
      ? { script: { template: one('template'), values: prefixed(query, 'v.') } }
      : query.has('script')
        ? { script: { text: one('script') } }
        : {}),
    ...(query.has('slot') ? { slot: { scriptBytes, authorities } } : {}),
    options: settingsOf(query, 'o.'),
    platformOptions: Object.fromEntries(
      ['pcbios', 'efi', 'sbi']
        .map((platform) => [platform, settingsOf(query, `${platform}.`)])
        .filter(([, settings]) => Object.keys(settings as object).length > 0),
    ),
    trust: query.getAll('trust').map((der) => toPem(der, 'trust')),
    ...(query.has('trustOverride') ? { trustOverride: one('trustOverride') === 'true' } : {}),
    certificates: query.getAll('certificate').map((der) => toPem(der, 'certificate')),
    debug: query.getAll('debug'),
  }
  return parseRecipe(input)
}

const known = new Set([
  ...[
    'target',
    'image',
    'of',
    'name',
    'description',
    'source',
    'crosscert',
    'config',
    'cross',
    'template',
    'script',
    'slot',
    'trust',
    'trustOverride',
    'certificate',
    'debug',
  ],
])

function prefixed(query: URLSearchParams, prefix: string): Record<string, string> {
  return Object.fromEntries([...query].filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [name.slice(prefix.length), value]))
}

const settingsOf = (query: URLSearchParams, prefix: string): Record<string, boolean | number | string> =>
  Object.fromEntries(Object.entries(prefixed(query, prefix)).map(([name, value]) => [name, parseSetting(value)]))

const formatSetting = (value: boolean | number | string): string => (value === true ? 'on' : value === false ? 'off' : String(value))

/** `on`, `off`, a whole number, or text: how a setting is written in flags and URLs. */
export const parseSetting = (text: string): boolean | number | string =>
  text === 'on' || text === 'true' ? true : text === 'off' || text === 'false' ? false : /^\d{1,10}$/.test(text) ? Number(text) : text

function toPem(joined: string, path: string): string {
  try {
    return joined
      .split('.')
      .map((der) => new X509Certificate(Buffer.from(der, 'base64url')).toString())
      .join('')
  } catch (cause) {
    throw new InputError('certificate-bad', 'is no certificate in base64url', { path }, { cause })
  }
}
