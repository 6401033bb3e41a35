// What is wrong with an archive or a layer that no station asked for yet. For `bivouac overlay lint`.
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { inspectOverlay } from '../alpine/overlay.ts'
import type { OverlayWarning } from '../alpine/overlay-warning.ts'
import { BivouacError, InputError, MissingError, OutsideError } from '../boot/error.ts'
import { MistakesError } from '../store/mistake.ts'
import { lookLayer, readLayer } from './layer.ts'

/** Warnings about an archive. What makes it unfit to be served is one of them. Throws MissingError when it is not there, InputError for a folder, OutsideError when it cannot be read. */
export async function lintArchive(file: string): Promise<readonly OverlayWarning[]> {
  if (
    await stat(file).then(
      (found) => found.isDirectory(),
      () => false,
    )
  )
    throw new InputError('overlay-folder', `${file} is a folder: give the name of a layer, such as ${basename(file)}, or an archive`)
  try {
    return (await inspectOverlay(file)).warnings
  } catch (error) {
    return [refusal(error)]
  }
}

/** Every mistake of a layer, or undefined when there is no layer of this name. */
export async function lintLayer(depot: string, name: string): Promise<readonly OverlayWarning[] | undefined> {
  try {
    const layer = await readLayer(await lookLayer(depot, name, Date.now), depot)
    return layer.notes
  } catch (error) {
    if (error instanceof MissingError) return undefined
    if (error instanceof MistakesError)
      return error.mistakes.map((mistake) => ({ code: mistake.code, text: new InputError('', mistake.message, mistake).message }))
    return [refusal(error)]
  }
}

const remedies: Readonly<Record<string, string>> = {
  'overlay-encrypted': 'save it without a pass phrase: lbu commit without -e',
  'overlay-gzip': 'make it again with tar -czf, or copy it again: it may have been cut',
  'tar-cut': 'copy it again: it was cut',
}

function refusal(error: unknown): OverlayWarning {
  if (!(error instanceof BivouacError) || error instanceof MissingError || error instanceof OutsideError) throw error
  const remedy = remedies[error.code]
  return { code: error.code, text: `it cannot be served: ${error.message}`, ...(remedy !== undefined && { remedy }) }
}
