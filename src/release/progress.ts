// What long work says of itself while it runs. A type only; shown by cli/release-show.

export type ReleaseProgress = {
  readonly step: 'download' | 'check' | 'unpack' | 'look' | 'copy'
  /** The file that it works on. */
  readonly what: string
  readonly doneBytes: number
  readonly totalBytes?: number
}

export type OnProgress = (progress: ReleaseProgress) => void
