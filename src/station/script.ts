// Renders scripts: our templates of scripts-templates/, or the operator's in the depot's templates/ under the same name. Called by the door.
// A broken template of the operator's is reported and never in force: the last good one is, or ours.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isWithin } from '../boot/age.ts'
import { InputError } from '../boot/error.ts'
import type { Emit } from '../boot/event.ts'
import { createQuiet } from './quiet.ts'
import { compileTemplate, runBounded, type Template } from '../store/template.ts'
import { print } from './text.ts'

/** A template of the operator's that is not in force as it stands. */
export type TemplateProblem = { readonly file: string; readonly line?: number; readonly message: string }

export type Scripts = {
  /**
   * The text of the template `name` (`station.ipxe`: the file's name without `.ejs`). Throws InputError `template-missing` when there is none, or
   * `template-failed` when our own cannot be carried out with this data.
   */
  readonly render: (name: string, data: object) => string
  /** A number that is another one after the operator's templates changed. */
  readonly generation: () => number
  /** The operator's templates that are not in force as they stand now. */
  readonly problems: () => readonly TemplateProblem[]
  /** Is there a template of this name, ours or the operator's? */
  readonly has: (name: string) => boolean
  /** What URLs of the mirror's repositories begin with, of what our other URLs do; absent: below `apk/` of those. */
  readonly packagesBase?: (httpBase: string) => string
}

export type ScriptsOptions = {
  readonly depot: string
  readonly emit: Emit
  readonly now: () => number
  /** Where our own templates are; the first folder that has a name wins. */
  readonly folders?: readonly string[]
  readonly revalidateMs?: number
  readonly packagesBase?: Scripts['packagesBase']
}

/** A template file of the operator's: what it was when it was last read, and what of it is in force. */
type Override = { readonly signature: string; readonly template: Template | undefined; readonly problem: TemplateProblem | undefined }

const ownFolder = join(import.meta.dirname, '../../scripts-templates')
const fileName = /^([A-Za-z0-9][A-Za-z0-9_.-]*)\.ejs$/
const maxTemplateBytes = 256 * 1024

/** Throws when one of our own templates cannot be compiled: that is a fault of ours. */
export function createScripts({ depot, emit, now, folders = [ownFolder], revalidateMs = 1000, packagesBase }: ScriptsOptions): Scripts {
  const own = new Map<string, Template>()
  let overrides = new Map<string, Override>()
  let checkedAt: number | undefined
  let generation = 0
  const quiet = createQuiet({ now, everyMs: 60_000 })

  // Ours include ours alone, so that a broken partial of the operator's cannot take our scripts down.
  const includeOwn = (name: string): Template => own.get(name) ?? noTemplate(name)
  const includeAny = (name: string): Template => overrides.get(name)?.template ?? includeOwn(name)

  for (const folder of folders.toReversed()) {
    for (const file of readdirSync(folder)) {
      const name = fileName.exec(file)?.[1]
      if (name) own.set(name, compileTemplate({ file, text: readFileSync(join(folder, file), 'utf8'), print, include: includeOwn }))
    }
  }

  function refresh(): void {
    const at = now()
    if (checkedAt !== undefined && isWithin(revalidateMs, checkedAt, at)) return
    checkedAt = at
    const found = new Map<string, Override>()
    for (const name of listTemplates(depot)) found.set(name, readOverride(name, overrides.get(name)))
    if (found.size !== overrides.size || [...found].some(([name, override]) => overrides.get(name) !== override)) generation++
    overrides = found
  }

  function readOverride(name: string, before: Override | undefined): Override {
    const file = `templates/${name}.ejs`
    const signature = signatureOf(join(depot, file))
    if (before?.signature === signature) return before
    try {
      checkOwner(depot, file)
      const template = compileTemplate({ file, text: readFileSync(join(depot, file), 'utf8'), print, include: includeAny })
      if (before?.problem) emit({ at: now(), kind: 'record-good', detail: { file } })
      return { signature, template, problem: undefined }
    } catch (error) {
      const problem = report(error, file, before?.template ? 'the last good one stays in force' : 'it is not in force')
      return { signature, template: before?.template, problem }
    }
  }

  function report(error: unknown, file: string, effect: string): TemplateProblem {
    const place = error instanceof InputError ? error.place : {}
    const message = error instanceof Error ? error.message : String(error)
    const line = place.line
    emit({ at: now(), kind: 'record-bad', detail: { file, ...(line !== undefined && { line }), reason: message, effect } })
    return { file, ...(line !== undefined && { line }), message }
  }

  /** What came to no end once is not asked again until its file changes: each time would hold up everybody. */
  function putOut(name: string, error: InputError, hasOurs: boolean): void {
    const override = overrides.get(name)
    if (!override?.template) return
    const problem = report(
      error,
      override.template.file,
      hasOurs ? 'it is not in force until it is changed, our own is' : 'it is not in force until it is changed',
    )
    overrides.set(name, { ...override, template: undefined, problem })
    generation++
  }

  /** It may be good for other stations, so it stays in force; that it failed is a problem until its file changes. */
  function noteFailure(name: string, error: unknown, hasOurs: boolean): void {
    const override = overrides.get(name)
    if (!override?.template) return
    const problem = report(error, override.template.file, hasOurs ? 'our own was used in its place' : 'there is none in its place')
    overrides.set(name, { ...override, problem })
  }

  function render(name: string, data: object): string {
    refresh()
    const override = overrides.get(name)?.template
    const ours = own.get(name)
    if (!override) {
      return (ours ?? noTemplate(name)).run(data)
    }
    try {
      return runBounded(override, data)
    } catch (error) {
      if (error instanceof InputError && error.code === 'template-endless') putOut(name, error, ours !== undefined)
      else if (quiet.mayTell(`${override.file}#${override.version}`)) noteFailure(name, error, ours !== undefined)
      if (!ours) throw error
      return ours.run(data)
    }
  }

  return {
    render,
    ...(packagesBase && { packagesBase }),
    generation: () => {
      refresh()
      return generation
    },
    problems: () => {
      refresh()
      return [...overrides.values()].flatMap(({ problem }) => problem ?? [])
    },
    has: (name) => {
      refresh()
      return own.has(name) || overrides.has(name)
    },
  }
}

function noTemplate(name: string): never {
  throw new InputError('template-missing', `there is no template ${name.slice(0, 80)}.ejs, neither in templates/ of the depot nor of our own`)
}

function listTemplates(depot: string): string[] {
  try {
    return readdirSync(join(depot, 'templates')).flatMap((file) => fileName.exec(file)?.[1] ?? [])
  } catch {
    return []
  }
}

function signatureOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
    return [ino, size, mtimeNs, ctimeNs].join('-')
  } catch {
    return 'gone'
  }
}

/** A template runs with our rights, so nobody else may be able to write it: not the stations that save their configuration by NFS. */
function checkOwner(depot: string, file: string): void {
  const owners = new Set([0, process.getuid?.() ?? 0, statSync(depot).uid])
  const refuse = (path: string, message: string): InputError => new InputError('template-owner', message, { file: path })
  for (const path of ['templates', file]) {
    const { uid, mode } = statSync(join(depot, path))
    if (!owners.has(uid))
      throw refuse(path, `belongs to user ${uid}, but a template must belong to root, to the server's user or to the depot's owner`)
    if (mode & 0o002) throw refuse(path, 'anybody may write it; take that right away (chmod o-w), because a template is code')
  }
  const stat = statSync(join(depot, file))
  if (!stat.isFile() || stat.size > maxTemplateBytes) throw refuse(file, `must be a file of at most ${maxTemplateBytes} bytes`)
}
