// Lays layers one over another: the last one wins, packages, services and ssh keys are gathered. Called by composer; pure but for templates and secrets.
import { InputError } from '../boot/error.ts'
import type { ReadTree } from './folder.ts'
import { declaredMembers, type Layer } from './layer.ts'
import type { LayerSettings } from './layer-file.ts'
import { type Member, type Note, put, remove, sizeOf, type TemplateMember, type Tree } from './member.ts'

/** What has been laid so far. */
export type Laid = {
  readonly tree: Tree
  /** Package name → its line in the world file. */
  readonly world: Map<string, string>
  readonly sshKeys: string[]
  readonly removedServices: Set<string>
  readonly removedPackages: Set<string>
  readonly notes: Note[]
  root?: LayerSettings['root']
  defaultServices?: boolean
}

/** What laying needs to know of the station. */
export type LayContext = {
  readonly secretOf: (name: string) => Uint8Array
  /** Renders a template; `isSecret` when it used one. */
  readonly render: (template: TemplateMember['template']) => { readonly text: string; readonly isSecret: boolean }
}

export const startLaying = (): Laid => ({
  tree: new Map(),
  world: new Map(),
  sshKeys: [],
  removedServices: new Set(),
  removedPackages: new Set(),
  notes: [],
})

const worldPath = 'etc/apk/world'
const keysPath = 'root/.ssh/authorized_keys'
/** What Bivouac puts in itself: an archive that a station sent back has those of an earlier boot. */
const isOurs = (path: string): boolean =>
  /^(etc\/bivouac(\/.*)?|etc\/local\.d\/(zz-)?bivouac-[^/]*|etc\/init\.d\/bivouac-[^/]*|etc\/runlevels\/[^/]+\/bivouac-[^/]*)$/.test(path)

/** Lays a layer over what is there. Throws InputError with the layer's file (a template, a secret, a file that is told of and not there). */
export function layLayer(laid: Laid, layer: Layer, context: LayContext): void {
  const { settings, name } = layer
  takeAway(laid, settings)
  for (const [path, member] of layer.members) layMember(laid, path, resolve(member, context), name)
  const place = { file: `overlays/${name}/layer.yaml` }
  for (const [path, member] of declaredMembers(settings, secretIn(context, place))) layMember(laid, path, member, name)
  for (const [path, file] of Object.entries(settings.files)) adjust(laid, path, file, place)
  addSettings(laid, layer)
  laid.notes.push(...layer.notes)
}

/** Lays the station's own archive, as `lbu` makes it: it counts as one more layer, but the repositories of the day on which it was made do not. */
export function layArchive(laid: Laid, { members, notes }: ReadTree): void {
  for (const [path, member] of members) {
    if (member.kind === 'template' || isOurs(path)) continue
    if (path === 'etc/apk/repositories') laid.notes.push(repositoriesNote)
    else layMember(laid, path, keepSecret(laid.tree.get(path), member), 'archive')
  }
  laid.notes.push(...notes)
}

/** A station sends back the secrets that it was given: they stay secret. */
const keepSecret = (before: Member | undefined, member: Member): Member =>
  before?.isSecret && member.kind === 'file' ? { ...member, isSecret: true } : member

const repositoriesNote: Note = {
  code: 'repositories-left-out',
  text: "etc/apk/repositories of the station's own archive is left out, so that the station uses those of the release that it boots",
  remedy: 'name others in repositories: of a layer',
}

function resolve(member: Member | TemplateMember, { render }: LayContext): Member {
  if (member.kind !== 'template') return member
  const { text, isSecret } = render(member.template)
  const mode = member.mode ?? 0o644
  return { kind: 'file', body: new TextEncoder().encode(text), mode: isSecret ? mode & 0o700 : mode, ...(isSecret && { isSecret: true as const }) }
}

const secretIn =
  ({ secretOf }: LayContext, place: { file: string }) =>
  (name: string): Uint8Array => {
    try {
      return secretOf(name)
    } catch (error) {
      throw error instanceof Error && 'code' in error ? new InputError(String(error.code), error.message, place, { cause: error }) : error
    }
  }

function takeAway(laid: Laid, { remove: gone }: LayerSettings): void {
  for (const path of gone.files) remove(laid.tree, path)
  for (const name of gone.packages.map(packageName)) {
    laid.world.delete(name)
    laid.removedPackages.add(name)
  }
  for (const service of gone.services) {
    remove(laid.tree, `etc/runlevels/${service}`)
    laid.removedServices.add(service)
  }
}

/** One member; files that hold lists are gathered line by line. */
function layMember(laid: Laid, path: string, member: Member, origin: string): void {
  if (member.kind === 'file' && member.body instanceof Uint8Array && (path === worldPath || path === keysPath)) {
    const text = new TextDecoder().decode(member.body)
    if (path === worldPath) addPackages(laid, text.replace(/#.*$/gm, '').split(/\s+/))
    else addSshKeys(laid, text.split('\n'))
    return
  }
  put(laid.tree, path, { ...member, origin })
  const service = /^etc\/runlevels\/([^/]+\/[^/]+)$/.exec(path)?.[1]
  if (service) laid.removedServices.delete(service)
}

/** `nginx~1.26@edge` → `nginx` */
export const packageName = (line: string): string => /^!?([^<>=~@]+)/.exec(line)?.[1] ?? line

function addPackages(laid: Laid, lines: readonly string[]): void {
  for (const line of lines) {
    if (line === '') continue
    laid.world.set(packageName(line), line)
    laid.removedPackages.delete(packageName(line))
  }
}

function addSshKeys(laid: Laid, lines: readonly string[]): void {
  for (const line of lines.map((one) => one.trim())) if (line && !line.startsWith('#') && !laid.sshKeys.includes(line)) laid.sshKeys.push(line)
}

/** Mode and owner that `files:` tells of a member that the layer, or one below, brings. */
function adjust({ tree }: Laid, path: string, file: LayerSettings['files'][string], place: { file: string }): void {
  if (file.link !== undefined) return
  const member = tree.get(path)
  if (!member)
    throw new InputError(
      'layer-file-missing',
      `there is no ${path} in this layer or one below it: bring the file, or give it content, secret, link or folder`,
      {
        ...place,
        path: `files.${path}`,
      },
    )
  if (member.kind === 'link')
    throw new InputError('layer-link-mode', `${path} is a link, which has neither mode nor owner`, { ...place, path: `files.${path}` })
  tree.set(path, { ...member, ...(file.mode !== undefined && { mode: file.mode }), ...file.owner })
}

function addSettings(laid: Laid, { name, settings, keys }: Layer): void {
  const { services, packages, repositories, hostname, sshKeys, root, defaultServices } = settings
  addPackages(laid, packages)
  for (const [level, names = []] of Object.entries(services)) for (const service of names) addService(laid, level, service, name)
  const text = (path: string, content: string): void => put(laid.tree, path, { kind: 'file', body: new TextEncoder().encode(content), origin: name })
  if (repositories) text('etc/apk/repositories', repositories.map((line) => `${line}\n`).join(''))
  if (hostname !== undefined) text('etc/hostname', `${hostname}\n`)
  for (const [file, body] of keys) put(laid.tree, `etc/apk/keys/${file}`, { kind: 'file', body, origin: name })
  addSshKeys(laid, sshKeys)
  if (root !== undefined) laid.root = root
  if (defaultServices !== undefined) laid.defaultServices = defaultServices
}

/** The link by which OpenRC starts a service. */
export function addService(laid: Laid, level: string, service: string, origin: string): void {
  layMember(laid, `etc/runlevels/${level}/${service}`, { kind: 'link', target: `/etc/init.d/${service}` }, origin)
}

/** Bytes of all files. */
export const totalBytes = ({ tree }: Laid): number =>
  [...tree.values()].reduce((sum, member) => sum + (member.kind === 'file' ? sizeOf(member.body) : 0), 0)
