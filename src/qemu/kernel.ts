// Where a kernel for the stand-in release comes from: Debian's own package, unpacked without installing, or the host's kernel.
// Used by release. Never needs root, never changes the host.
import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { MissingError } from '../boot/error.ts'
import { findTool, installHint, isStaticProgram, runTool } from './tool.ts'

/** A kernel image and the folder of its modules (`…/lib/modules/<version>`). `from` says to people where it was found. */
export type Kernel = { readonly version: string; readonly image: string; readonly modules: string; readonly from: string }

// Ubuntu splits the modules from the image; both names are tried where the package says so.
const metaPackages = ['linux-image-cloud-amd64', 'linux-image-virtual', 'linux-image-amd64']

/**
 * A kernel for a virtual PC (`tell` hears of what takes long): one unpacked earlier in `cache`, Debian's cloud kernel by `apt-get download`, or the host's own.
 * Throws MissingError `kernel-missing` that says what to do when none can be had.
 */
export async function findKernel(cache: string, tell: (line: string) => void = () => {}): Promise<Kernel> {
  const cached = findUnpacked(cache)
  if (cached) return cached
  const failures: string[] = []
  try {
    await downloadKernel(cache, tell)
    const fetched = findUnpacked(cache)
    if (fetched) return fetched
  } catch (error) {
    failures.push((error as Error).message)
  }
  const own = findHostKernel(release())
  if (own) return own
  throw new MissingError(
    'kernel-missing',
    [
      'no kernel for a virtual station that is not Alpine: none from the package manager, and the host has none that can be read.',
      ...failures.map((failure) => `  tried: ${failure}`),
      `  what helps: apt-get update (then this is done by itself), or ${installHint({ apt: 'linux-image-cloud-amd64', apk: 'linux-virt', dnf: 'kernel-core' })};`,
      '  without the internet: import a release (docs/alpine.md) and give the virtual station a record; then it boots that and needs no other kernel',
    ].join('\n'),
  )
}

function findUnpacked(cache: string): Kernel | undefined {
  const folder = join(cache, 'lib/modules')
  const versions = [folder, join(cache, 'usr/lib/modules')].flatMap((modules) =>
    existsSync(modules) ? readdirSync(modules).map((version) => ({ version, modules: join(modules, version) })) : [],
  )
  return versions
    .map(({ version, modules }) => ({ version, modules, image: join(cache, 'boot', `vmlinuz-${version}`), from: 'a package of the distribution' }))
    .find(({ image }) => canRead(image))
}

async function downloadKernel(cache: string, tell: (line: string) => void): Promise<void> {
  if (!findTool('apt-get') || !findTool('dpkg-deb')) throw new MissingError('apt-missing', 'apt-get is not here')
  const image = await resolveImage()
  const parts = (await dependenciesOf(image)).filter((name) => name.startsWith('linux-modules-'))
  tell(`downloading the package ${image} for its kernel (some 30 MB, once; nothing is installed)`)
  await unpackPackages([image, ...parts], cache)
}

/** The real package behind the first meta package that the package lists know. */
async function resolveImage(): Promise<string> {
  for (const meta of metaPackages) {
    const found = (await dependenciesOf(meta)).find((name) => name.startsWith('linux-image-'))
    if (found) return found
  }
  throw new MissingError('kernel-missing', `the package lists know none of ${metaPackages.join(', ')} (apt-get update brings them)`)
}

async function dependenciesOf(name: string): Promise<string[]> {
  try {
    const text = (await runTool([findTool('apt-cache') ?? 'apt-cache', 'depends', '--important', name])).toString()
    return [...text.matchAll(/^\s*\|?Depends: ([a-z0-9][a-z0-9.+-]*)$/gm)].map((found) => found[1] as string)
  } catch {
    return []
  }
}

/** Downloads packages with apt's own checks and unpacks them below `folder`; nothing is installed. Throws OutsideError. */
export async function unpackPackages(names: readonly string[], folder: string): Promise<void> {
  const work = `${folder}.part`
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  try {
    await runTool(['apt-get', '-q', 'download', ...names], { folder: work, timeoutMs: 600_000 })
    for (const file of readdirSync(work).filter((name) => name.endsWith('.deb'))) {
      await runTool(['dpkg-deb', '-x', file, '.'], { folder: work })
      rmSync(join(work, file))
    }
    rmSync(folder, { recursive: true, force: true })
    renameSync(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The running kernel's files: /boot as Debian and Alpine name them, or Fedora's copy beside the modules. */
function findHostKernel(version: string): Kernel | undefined {
  const modules = join('/lib/modules', version)
  const flavour = version.split('-').at(-1) ?? ''
  const images = [`/boot/vmlinuz-${version}`, join(modules, 'vmlinuz'), `/boot/vmlinuz-${flavour}`]
  const image = images.find(canRead)
  return image && existsSync(join(modules, 'kernel')) ? { version, image, modules, from: "the host's own kernel" } : undefined
}

/** A busybox that needs no libraries: the host's, or Debian's package busybox-static unpacked in `cache`. Throws MissingError `busybox-missing`. */
export async function findBusybox(cache: string): Promise<string> {
  const own = ['/bin/busybox', '/usr/bin/busybox', '/bin/busybox.static', join(cache, 'bin/busybox'), join(cache, 'usr/bin/busybox')]
  const there = () => own.find(isStaticProgram)
  const found = there()
  if (found) return found
  if (findTool('apt-get')) await unpackPackages(['busybox-static'], cache).catch(() => undefined)
  const fetched = there()
  if (fetched) return fetched
  const hint = installHint({ apt: 'busybox-static', apk: 'busybox-static', dnf: 'busybox' })
  throw new MissingError('busybox-missing', `the virtual station needs a busybox without libraries: ${hint}`)
}

const canRead = (path: string): boolean => {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}
