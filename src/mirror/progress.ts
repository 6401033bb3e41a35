// What long work of the mirror says of itself while it runs. A type only; shown by cli/mirror-show.

export type MirrorProgress = {
  readonly step: 'index' | 'look' | 'download' | 'switch' | 'check' | 'copy'
  readonly doneFiles: number
  readonly totalFiles: number
  readonly doneBytes: number
  readonly totalBytes: number
}

export type OnMirrorProgress = (progress: MirrorProgress) => void
