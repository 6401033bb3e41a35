// One EJS template: compiled once, strict, with every printed value held to the caller's `print`, and mistakes told with file and line. Used by
// station/script for scripts and by overlay for files of layers.
// A template is code and runs with our rights: only files that the operator owns get here.
import { createContext, Script } from 'node:vm'
import ejs from 'ejs'
import { InputError } from '../boot/error.ts'

/** A compiled template. `file` is for people (`templates/wait.ipxe.ejs`). */
export type Template = {
  readonly file: string
  readonly text: string
  /** Tells versions of one template apart. */
  readonly version: number
  /** Throws InputError `template-failed` with file and line. */
  readonly run: (data: object) => string
}

/** How long one run may take. The longest of ours takes a tenth of a millisecond. */
const runMs = 500

const context = createContext({ run: undefined as unknown })
const call = new Script('run()')

/**
 * Runs a template of somebody else's, but not for ever: everything else in the server waits for it. Throws InputError `template-endless` when it was
 * stopped, else what `run` does.
 */
export function runBounded({ file, run }: Template, data: object): string {
  context.run = () => run(data)
  try {
    return call.runInContext(context, { timeout: runMs }) as string
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    throw new InputError('template-endless', `came to no end and was stopped after ${runMs} ms`, { file }, { cause: error })
  } finally {
    context.run = undefined
  }
}

export type TemplateOptions = {
  readonly file: string
  readonly text: string
  /** What a `<%= %>` prints of a value; throws InputError for one that may not stand there. */
  readonly print: (value: unknown) => string
  /** Finds a partial; throws InputError when there is none. */
  readonly include: (name: string) => Template
}

let versions = 0

/** Throws InputError `template-syntax` with file and line. */
export function compileTemplate({ file, text, print, include }: TemplateOptions): Template {
  const options: ejs.Options & { async?: false } = {
    strict: true,
    localsName: 'it',
    filename: file,
    escape: print,
    // EJS keeps what it included under this name; the version keeps an edited partial from being taken for the old one.
    cache: true,
    includer: (name) => {
      const partial = include(name)
      return { filename: `${partial.file}#${partial.version}`, template: partial.text.replace(/\n$/, '') } as unknown as ejs.IncluderResult
    },
  }
  const run = compile(text, options, file)
  return {
    file,
    text,
    version: ++versions,
    run: (data) => {
      try {
        return run(data)
      } catch (error) {
        throw explainFailure(error, file)
      }
    },
  }
}

function compile(text: string, options: ejs.Options & { async?: false }, file: string): (data: object) => string {
  try {
    return ejs.compile(text, options) as (data: object) => string
  } catch (error) {
    const line = findSyntaxLine(text, options)
    const message = (error as Error).message.split('\n', 1)[0]?.replace(/ in \S+ while compiling ejs$/, '') ?? 'cannot be compiled'
    throw new InputError('template-syntax', message, { file, ...(line !== undefined && { line }) }, { cause: error })
  }
}

/** The template's line where its code cannot be parsed: EJS does not tell it, but leaves marks (`__line = 7`) in the code that it makes. */
function findSyntaxLine(text: string, options: ejs.Options): number | undefined {
  const unclosed = findUnclosedTag(text)
  if (unclosed !== undefined) return unclosed
  const template = new ejs.Template(text, options) as unknown as { generateSource(): void; source: string }
  template.generateSource()
  try {
    new Script(`(function () {\n${template.source}\n})`, { filename: 'template' })
    return undefined
  } catch (error) {
    const failedAt = Number(/^template:([0-9]+)/.exec((error as Error).stack ?? '')?.[1] ?? 0)
    const before = template.source
      .split('\n')
      .slice(0, Math.max(0, failedAt - 1))
      .join('\n')
    return Number([...before.matchAll(/__line = ([0-9]+)/g)].at(-1)?.[1] ?? 1)
  }
}

function findUnclosedTag(text: string): number | undefined {
  const parts = text.split('<%')
  const open = parts.findIndex((part, index) => index > 0 && !part.startsWith('%') && !part.includes('%>'))
  return open < 0 ? undefined : parts.slice(0, open).join('<%').split('\n').length
}

/** EJS puts `<file>:<line>`, the lines around and an empty line before the message; the innermost template comes last. */
function explainFailure(error: unknown, file: string): InputError {
  const told = error instanceof Error ? error.message : String(error)
  const place = [...told.matchAll(/^(\S+\.ejs)(?:#[0-9]+)?:([0-9]+)$/gm)].at(-1)
  const message = told.split('\n\n').at(-1) ?? told
  return new InputError('template-failed', message, { file: place?.[1] ?? file, ...(place && { line: Number(place[2]) }) }, { cause: error })
}
