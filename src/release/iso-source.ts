// An Alpine ISO image as a source: boot files into a draft, and its packages into the mirror where that has none. Called by import.
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { MissingError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import { openDraft, type ReleaseFile } from './draft.ts'
import { type IsoFile, listIso } from './iso.ts'
import { readBootName } from './name.ts'
import type { OnProgress } from './progress.ts'
import type { UnpackAsk, Unpacked } from './unpack.ts'

export type IsoSource = {
  /** What its `.alpine-release` says: `alpine-standard-3.22.2 251008`. */
  readonly label: string
  readonly unpack: (ask: UnpackAsk) => Promise<Unpacked>
  /**
   * Copies `apks/<arch>/` to `<root>/<branch>/main/<arch>/`, its index included; answers the number of files, or undefined when the mirror has an
   * index there already or the image has no packages.
   */
  readonly copyPackages: (root: string, branch: string, arch: string, onProgress?: OnProgress) => Promise<number | undefined>
  readonly close: () => Promise<void>
}

const pieceBytes = 1024 * 1024
const packageName = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,200}\.apk$/

/** Throws DecodeError for a file that is no ISO image or damaged, MissingError when it cannot be read. */
export async function openIso(path: string): Promise<IsoSource> {
  const handle = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    throw new MissingError('source-missing', `${path} cannot be read: ${codeOf(error)}`)
  })
  try {
    const { size } = await handle.stat()
    const files = await listIso((offset, length) => readAt(handle, offset, length), size)
    return sourceOf(handle, basename(path), files, await readLabel(handle, files))
  } catch (error) {
    await handle.close()
    throw error
  }
}

function sourceOf(handle: FileHandle, what: string, files: readonly IsoFile[], label: string): IsoSource {
  async function copy(file: IsoFile, push: (piece: Uint8Array) => void, flush: () => Promise<void>, onProgress?: OnProgress): Promise<void> {
    for (let at = 0; at < file.sizeBytes; at += pieceBytes) {
      push(await readAt(handle, file.offset + at, Math.min(pieceBytes, file.sizeBytes - at)))
      await flush()
      onProgress?.({ step: 'unpack', what, doneBytes: Math.min(file.sizeBytes, at + pieceBytes), totalBytes: file.sizeBytes })
    }
  }

  async function unpack({ flavour, draft, onProgress }: UnpackAsk): Promise<Unpacked> {
    const boot = files.filter(({ path }) => /^(boot\/)?[^/]+$/.test(path) && readBootName(basename(path)))
    const taken: ReleaseFile[] = []
    for (const file of boot.filter(({ path }) => draft && readBootName(basename(path))?.flavour === flavour)) {
      const sink = await draft?.create(basename(file.path))
      if (!sink) continue
      await copy(file, sink.push, sink.flush, onProgress)
      taken.push(await sink.close())
    }
    return { names: boot.map(({ path }) => basename(path)), files: taken }
  }

  async function copyPackages(root: string, branch: string, arch: string, onProgress?: OnProgress): Promise<number | undefined> {
    const folder = `apks/${arch}/`
    const names = files.filter(({ path }) => path.startsWith(folder)).map((file) => ({ file, name: file.path.slice(folder.length) }))
    const wanted = names.filter(({ name }) => packageName.test(name) || /^(APKINDEX\.tar\.gz|Packages\.adb)$/.test(name))
    const target = join(root, branch, 'main', arch)
    const there = await readdir(target).catch((error: unknown) => (codeOf(error) === 'ENOENT' ? undefined : []))
    if (there !== undefined || !wanted.some(({ name }) => name.startsWith('APKINDEX'))) return undefined
    await mkdir(join(root, branch, 'main'), { recursive: true })
    const draft = await openDraft(target)
    try {
      for (const { file, name } of wanted) {
        const sink = await draft.create(name)
        await copy(file, sink.push, sink.flush, onProgress)
        await sink.close()
      }
      await draft.place()
      return wanted.length
    } finally {
      await draft.drop()
    }
  }

  return { label, unpack, copyPackages, close: () => handle.close() }
}

async function readLabel(handle: FileHandle, files: readonly IsoFile[]): Promise<string> {
  const file = files.find(({ path }) => path === '.alpine-release')
  const bytes = file ? await readAt(handle, file.offset, Math.min(file.sizeBytes, 200)) : new Uint8Array()
  return Buffer.from(bytes).toString('latin1').split('\n')[0]?.trim() ?? ''
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let at = 0
  while (at < length) {
    const { bytesRead } = await handle.read(bytes, at, length - at, offset + at)
    if (!bytesRead) break
    at += bytesRead
  }
  return bytes.subarray(0, at)
}
