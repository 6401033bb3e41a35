// What make is called with, and what its lines say. Pure; used by tree and job. Every word here is checked before: no text of a request gets in.
import { buildIdOf, type Fingerprint } from './fingerprint.ts'
import { formatTarget, isPacked, type Target } from './target.ts'

/** Files for a build by their purpose, named after their content: iPXE does not notice new content under an old name. */
export type BuildFiles = {
  readonly embed: readonly string[]
  readonly trust: readonly string[]
  readonly cert: readonly string[]
  readonly privateKey?: string
}

export type MakeAsk = {
  readonly target: Target
  readonly files: BuildFiles
  readonly trustOverride: boolean
  readonly debug: readonly string[]
  readonly config?: string
  readonly crossPrefix: string
  readonly epoch: number
  /** Commit of the source, for the banner; '' shows none. */
  readonly commit: string
  readonly fingerprint: Fingerprint
}

const safeWord = /^[A-Za-z0-9_./,:=@+-]*$/

/** What decides the objects, so what a built tree is made with. */
export function treeArguments({ config, crossPrefix }: Pick<MakeAsk, 'config' | 'crossPrefix'>): string[] {
  return check([...(config ? [`CONFIG=${config}`] : []), ...(crossPrefix ? [`CROSS_COMPILE=${crossPrefix}`] : [])])
}

/** All variables and targets of one artifact, for make's argument array. @throws Error for a word that would be code to make; that is a bug of ours. */
export function makeArguments(ask: MakeAsk): string[] {
  const list = (name: string, files: readonly string[]): string[] => (files.length > 0 ? [`${name}=${files.join(',')}`] : [])
  return [
    ...treeArguments(ask),
    ...check([
      ...list('EMBED', ask.files.embed),
      ...list('TRUST', ask.files.trust),
      ...(ask.trustOverride ? ['TRUST_EXT=1'] : []),
      ...list('CERT', ask.files.cert),
      ...(ask.files.privateKey ? [`PRIVKEY=${ask.files.privateKey}`] : []),
      ...list('DEBUG', ask.debug),
      `SOURCE_DATE_EPOCH=${ask.epoch}`,
      `GITVERSION=${ask.commit}`,
    ]),
    // make hands this one to a shell; both words are ours.
    `BUILD_ID_CMD=echo ${check([buildIdOf(ask.fingerprint)])[0]}`,
    ...check(resultsOf(ask.target)),
  ]
}

/**
 * The files that make leaves, relative to src/: the binary first; with it what a later patch of a packed one needs.
 * A USB image is the boot sector and the partition; the partition is what is packed.
 */
export function resultsOf(target: Target): string[] {
  const name = formatTarget(target)
  if (!isPacked(target)) return [name]
  const packed = packedPart(target)
  return [name, `${packed}.bin`, `${packed}.zinfo`, ...(target.media === 'usb' ? [`${target.binDir.name}/usbdisk.bin`] : [])]
}

const packedPart = (target: Target): string => formatTarget(target.media === 'usb' ? { ...target, media: 'hd' } : target)

function check(words: string[]): string[] {
  for (const word of words) if (!safeWord.test(word)) throw new Error(`refused as an argument for make: ${JSON.stringify(word)}`)
  return words
}

export type Progress = { readonly step: string; readonly done: number; readonly current: string }

/** Follows make's output: `  [BUILD] bin/x.o` is one step done. */
export function createProgressReader(): { read: (line: string) => Progress | undefined } {
  let done = 0
  return {
    read: (line) => {
      const [, word, current = ''] = /^\s+\[([A-Z0-9_-]{2,16})\]\s+(\S+)/.exec(line) ?? []
      if (word === undefined) return undefined
      done++
      return { step: steps[word] ?? word.toLowerCase(), done, current }
    },
  }
}

const steps: Record<string, string> = {
  BUILD: 'compiling',
  DEPS: 'reading',
  AR: 'collecting',
  LD: 'linking',
  BIN: 'linking',
  ZBIN: 'packing',
  FINISH: 'finishing',
  GENFSIMG: 'imaging',
  VERSION: 'naming',
}

/** The lines that say why make failed: the first error with what follows, else the last lines. */
export function failureOf(tail: readonly string[]): string[] {
  const first = tail.findIndex((line) => /error:|Error \d|\*\*\*|undefined reference|No such file/.test(line))
  return tail.slice(first < 0 ? -8 : Math.max(0, first - 1)).slice(0, 12)
}
