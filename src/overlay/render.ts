// Templates in layers: compiled once for each version of the file, rendered for each station. Called by folder, archive and composer.
// A template is code and runs with our rights: only files that nobody but the operator can write get here.
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { InputError } from '../boot/error.ts'
import type { Release, Station } from '../boot/record.ts'
import { compileTemplate, runBounded, type Template } from '../store/template.ts'
import type { ComposeAsk } from './composition.ts'
import type { Secrets } from './secret.ts'

type Owner = { readonly uid: number; readonly isForAll: boolean }
type TemplateFile = {
  readonly depot: string
  /** The layer's folder, and the template's path in it. */
  readonly root: string
  readonly path: string
  readonly file: string
  readonly bytes: Uint8Array
  readonly owner: Owner
}

/** Compiles a layer's template. Throws InputError `template-owner` or `template-syntax` with file and line. */
export async function compileLayerTemplate({ depot, root, path, file, bytes, owner }: TemplateFile): Promise<Template> {
  await checkOwners(depot, root, path, file, owner)
  return compileText(file, new TextDecoder().decode(bytes))
}

export const compileText = (file: string, text: string): Template => compileTemplate({ file, text, print: printPlain, include: noInclude(file) })

const noInclude = (file: string) => (): never => {
  throw new InputError('template-include', 'a template of a layer includes no other', { file })
}

/** Nobody but root, the server's user and the depot's owner may write the file or a folder above it: not stations that save by NFS. */
export async function checkOwners(depot: string, root: string, path: string, file: string, owner: Owner): Promise<void> {
  const owners = new Set([0, process.getuid?.() ?? 0, (await stat(depot)).uid])
  const check = (place: string, { uid, isForAll }: Owner): void => {
    const refuse = (message: string): InputError => new InputError('template-owner', message, { file: place })
    if (!owners.has(uid))
      throw refuse(
        `belongs to user ${uid}, but templates and the folders above them must belong to root, to the server's user or to the depot's owner`,
      )
    if (isForAll) throw refuse('anybody may write it; take that right away (chmod o-w), because a template is code')
  }
  check(file, owner)
  const folders = [dirname(root)]
  for (let folder = dirname(join(root, path)); folder.length >= root.length && folder !== '/'; folder = dirname(folder)) folders.push(folder)
  for (const folder of folders) {
    const { uid, mode } = await stat(folder)
    check(folder, { uid, isForAll: (mode & 0o002) !== 0 && (mode & 0o1000) === 0 })
  }
}

/** What `<%= %>` prints: texts, numbers, true and false as they are. Throws InputError `template-value` for what is not there. */
function printPlain(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return String(value)
  const what = value === undefined ? 'nothing: no such variable' : value === null ? 'nothing' : `a value of type ${typeof value}`
  throw new InputError('template-value', `${what} cannot be printed`)
}

/** `it` of templates. */
export type TemplateData = {
  readonly station: Partial<Pick<Station, 'name' | 'hostname' | 'group'>> & {
    readonly mac?: string
    readonly macs: readonly string[]
    readonly labels: Station['labels']
  }
  readonly profile: { readonly name: string }
  readonly release: Partial<Pick<Release, 'id' | 'version' | 'branch' | 'arch' | 'flavour'>>
  readonly variables: Readonly<Record<string, string | number | boolean>>
  readonly secret: (name: string) => string
}

/** What templates may use for this station: the profile's variables, the station's over them. */
export function templateData({ mac, station, profile, release }: ComposeAsk, secretOf: (name: string) => string): TemplateData {
  const { name, hostname, group, labels = {}, macs = mac ? [mac] : [] } = station ?? {}
  const own = mac ?? macs[0]
  const { id, version, branch, arch, flavour } = release ?? {}
  return {
    station: { ...drop({ name, hostname, group, mac: own }), macs, labels },
    profile: { name: profile.name },
    release: drop({ id, version, branch, arch, flavour }),
    variables: { ...profile.variables, ...station?.variables },
    secret: secretOf,
  }
}

const drop = <T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> }

/** The template's text for one station, and whether it used a secret. No secret stands in what is thrown. */
export function renderMember(template: Template, ask: ComposeAsk, secrets: Secrets): { readonly text: string; readonly isSecret: boolean } {
  const used: string[] = []
  const data = templateData(ask, (name) => {
    const text = secrets.text(name)
    used.push(text)
    return text
  })
  try {
    return { text: runBounded(template, data), isSecret: used.length > 0 }
  } catch (error) {
    throw used.length ? mask(error, used) : error
  }
}

function mask(error: unknown, secrets: readonly string[]): InputError {
  const { code, place, message } = error instanceof InputError ? error : { code: 'template-failed', place: {}, message: String(error) }
  const plain = secrets.filter((secret) => secret).reduce((text, secret) => text.replaceAll(secret, '***'), message)
  const { file, line } = place
  const said = plain.startsWith(`${file}:`) ? plain.slice(plain.indexOf(': ') + 2) : plain
  // Without the cause: its text and stack may hold the secret.
  return new InputError(code, said, { ...(file !== undefined && { file }), ...(line !== undefined && { line }) })
}
