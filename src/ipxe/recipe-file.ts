// Recipes as files: ipxe/*.yaml and the operator's own. Files may stand on others (`extends`) and name files beside them; what comes out holds everything itself.
// Used by the command line and for the names of our own recipes; never for what a request sends.
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { InputError, MissingError } from '../boot/error.ts'
import { parseRecipe, type Recipe } from './recipe.ts'

type Plain = Record<string, unknown>

const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * The recipe of that name in `folder` (`undionly`), or of a file (a path with a slash or an ending).
 * @param over members that win over the file's; options are merged.
 * @throws InputError with file and line, MissingError `recipe-missing`.
 */
export async function readRecipe(folder: string, name: string, over: Plain = {}): Promise<Recipe> {
  const { value, file } = await readChain(folder, name, 0)
  const { extends: _, ...merged } = merge(value, over)
  return parseRecipe(merged, file)
}

/** Names and descriptions of the recipes in a folder; those that are only stood upon have no target and are left out. */
export async function listRecipes(folder: string): Promise<{ name: string; description: string; target: string }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml') && name !== 'source.yaml').map((name) => basename(name, '.yaml'))
  const found = []
  for (const name of names.sort()) {
    const recipe = await readRecipe(folder, name).catch(() => undefined)
    if (recipe) found.push({ name, description: recipe.description ?? '', target: recipe.target ?? recipe.image?.of.join(' + ') ?? '' })
  }
  return found
}

async function readChain(folder: string, name: string, depth: number): Promise<{ value: Plain; file: string }> {
  if (depth > 8) throw new InputError('recipe-bad', 'recipes stand on each other in a circle', { file: name, path: 'extends' })
  const isPath = name.includes('/') || /\.ya?ml$/.test(name)
  const file = isPath ? resolve(name) : join(folder, `${name}.yaml`)
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new MissingError(
      'recipe-missing',
      isPath ? `there is no recipe file ${name}` : `there is no recipe ${name}; a file of your own is named with its path`,
      { cause },
    )
  })
  const own = await inlineFiles(parseYaml(text, file), dirname(file), file)
  if (own.extends === undefined) return { value: own, file }
  if (typeof own.extends !== 'string') throw new InputError('recipe-bad', 'is the name of a recipe', { file, path: 'extends' })
  const base = await readChain(folder, own.extends.startsWith('.') ? join(dirname(file), own.extends) : own.extends, depth + 1)
  return { value: merge(base.value, own), file }
}

function parseYaml(text: string, file: string): Plain {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, strict: true })
  const [problem] = document.errors
  if (problem) throw new InputError('recipe-bad', problem.message.split('\n')[0] ?? 'is no YAML', { file, line: lines.linePos(problem.pos[0]).line })
  const value: unknown = document.toJS({ maxAliasCount: 10 })
  if (!isPlain(value)) throw new InputError('recipe-bad', 'a recipe is a mapping', { file, line: 1 })
  return value
}

/** `{ file: … }` in script, key, trust and certificates becomes the file's text; paths are relative to the recipe. */
async function inlineFiles(recipe: Plain, folder: string, file: string): Promise<Plain> {
  const text = async (value: unknown, path: string): Promise<unknown> => {
    if (!isPlain(value) || typeof value.file !== 'string') return value
    return readFile(resolve(folder, value.file), 'utf8').catch((cause) => {
      throw new InputError('recipe-bad', `there is no file ${value.file}`, { file, path }, { cause })
    })
  }
  const all = async (value: unknown, path: string): Promise<unknown> =>
    Array.isArray(value) ? Promise.all(value.map((one) => text(one, path))) : value
  const changed: Plain = { ...recipe }
  if (isPlain(recipe.script) && 'file' in recipe.script) changed.script = { text: await text(recipe.script, 'script.file') }
  if ('key' in recipe) changed.key = await text(recipe.key, 'key.file')
  for (const name of ['trust', 'certificates']) if (name in recipe) changed[name] = await all(recipe[name], name)
  return changed
}

/** Later members win; options are merged; a target replaces an image and the other way round; a template's values are merged. */
function merge(base: Plain, over: Plain): Plain {
  const merged: Plain = { ...base, ...over }
  if (isPlain(base.options) && isPlain(over.options)) merged.options = { ...base.options, ...over.options }
  if (isPlain(base.platformOptions) && isPlain(over.platformOptions)) {
    const [old, own] = [base.platformOptions, over.platformOptions]
    merged.platformOptions = Object.fromEntries(
      [...new Set([...Object.keys(old), ...Object.keys(own)])].map((name) => [name, { ...(old[name] as object), ...(own[name] as object) }]),
    )
  }
  if (over.target !== undefined) delete merged.image
  if (over.image !== undefined && over.target === undefined) delete merged.target
  if (isPlain(base.script) && isPlain(over.script) && 'values' in over.script && !('text' in over.script)) {
    const old = isPlain(base.script.values) ? base.script.values : {}
    const values = isPlain(over.script.values) ? { ...old, ...over.script.values } : over.script.values
    merged.script = { ...base.script, ...over.script, values }
  }
  return merged
}
