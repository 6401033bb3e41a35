// Which names of the mirror are ever asked of an upstream, and which are served at all. Pure; used by pull and the packages server.
import { isArch } from '../apk/index-file.ts'

/** A name of Alpine's shape, taken apart. `folder` is `v3.22/main/x86_64`. `adb` indexes are of apk v3: passed on, never read. */
export type PullName =
  | { readonly kind: 'index'; readonly format: 'v2' | 'adb'; readonly path: string; readonly folder: string; readonly file: string }
  | { readonly kind: 'package'; readonly path: string; readonly folder: string; readonly file: string }

const branchPattern = /^(v[1-9][0-9]?\.[0-9]{1,3}|edge)$/
const repositoryPattern = /^[a-z][a-z0-9_-]{0,31}$/
/** Name, version and release, as apk's files are named. */
const packagePattern = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}-[0-9][A-Za-z0-9._~+-]{0,63}\.apk$/
const adbPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\.adb$/

const maxPathLength = 300

/** `<branch>/<repository>/<arch>/<file>` as Alpine's mirrors have it; undefined for everything else, snapshots, keys and private repositories too. */
export function parsePullName(path: string): PullName | undefined {
  if (path.length > maxPathLength) return undefined
  const [branch = '', repository = '', arch = '', file = '', more] = path.split('/')
  if (more !== undefined || !branchPattern.test(branch) || !repositoryPattern.test(repository) || !isArch(arch)) return undefined
  const folder = `${branch}/${repository}/${arch}`
  if (file === 'APKINDEX.tar.gz') return { kind: 'index', format: 'v2', path, folder, file }
  if (adbPattern.test(file)) return { kind: 'index', format: 'adb', path, folder, file }
  return packagePattern.test(file) ? { kind: 'package', path, folder, file } : undefined
}

/** Indexes and packages in any folder up to eight deep, and public keys in `keys/`. No part begins with a dot; nothing else is the mirror's to serve. */
export function isMirrorName(path: string): boolean {
  if (path.length > maxPathLength || !/^[A-Za-z0-9_][A-Za-z0-9._+~@-]*(\/[A-Za-z0-9_][A-Za-z0-9._+~@-]*){1,8}$/.test(path)) return false
  if (path.toLowerCase().startsWith('keys/')) return /^keys\/[^/]+\.pub$/.test(path)
  return /\/(APKINDEX\.tar\.gz|[^/]+\.(apk|adb))$/.test(path)
}
