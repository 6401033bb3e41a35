// The thread that fills slots and packs, so that the event loop goes on serving. Started by packer.ts only.
import { parentPort } from 'node:worker_threads'
import { BivouacError } from '../boot/error.ts'
import type { PackAnswer, PackAsk } from './packer.ts'
import { changeLoader } from './patch.ts'

parentPort?.on('message', ({ id, blank, change }: PackAsk) => {
  let answer: PackAnswer
  try {
    answer = { id, bytes: changeLoader(blank, change) }
  } catch (error) {
    answer = { id, code: error instanceof BivouacError ? error.code : 'bug', message: error instanceof Error ? error.message : String(error) }
  }
  parentPort?.postMessage(answer)
})
