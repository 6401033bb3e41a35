// Bytes to be served, whatever the door: the shape that station/files makes and that TFTP and HTTP send.

/** One file or rendered text, frozen at the moment of opening: later changes of the file are another Content. */
export type Content = {
  readonly sizeBytes: number
  /** A strong entity tag without its quotes; changes whenever the bytes may have changed. */
  readonly etag: string
  /** Media type, as firmware wants it (`application/efi`). */
  readonly type: string
  /** Milliseconds since 1970; absent for rendered text. */
  readonly modifiedAt?: number
  /** The whole of it, where it is small or cached whole. */
  readonly whole?: Uint8Array
  /** The bytes from `offset`, `length` of them or up to the end. Comes at once from the cache, else as a promise. Rejects with OutsideError when the disk fails. */
  readonly read: (offset: number, length: number) => Uint8Array | Promise<Uint8Array>
  /** Must be called once when done; the file may be held open until then. */
  readonly close: () => void
}
