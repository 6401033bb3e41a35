// What goes into an image that boots without a network, as values. Made by the command from the gate's plan; used by every file of the room.
import type { Release } from '../boot/record.ts'
import type { SigningKey } from '../apk/signature.ts'

/** One station's image. Paths are absolute. */
export type MediaAsk = {
  /** The station's host name: names the image and its menu. */
  readonly name: string
  readonly arch: string
  readonly flavour: string
  readonly kernel: string
  readonly initramfs: string
  readonly modloop?: string
  readonly release?: Pick<Release, 'id' | 'branch' | 'version'>
  /** Further initramfs images, loaded after the stock one. */
  readonly additions?: readonly { readonly name: string; readonly file: string }[]
  readonly overlay: string
  /** What the overlay's world asks for. */
  readonly world: readonly string[]
  /** Folders of the mirror that hold an `<arch>/APKINDEX.tar.gz`, the first one first. */
  readonly repositories: readonly string[]
  /** Where `keys/` is. */
  readonly packagesRoot: string
  readonly modules: readonly string[]
  readonly arguments: readonly string[]
  /** The site's key: it signs the image's own index, and the station trusts it from the first moment on. */
  readonly signingKey: SigningKey & { readonly publicPem: string }
}

/** One file of the image: bytes of ours, or a file that is copied. */
export type MediaEntry = { readonly path: string; readonly sizeBytes: number } & ({ readonly bytes: Uint8Array } | { readonly file: string })

export const entryOf = (path: string, content: Uint8Array | string): MediaEntry => {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  return { path, bytes, sizeBytes: bytes.length }
}
