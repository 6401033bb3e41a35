// Fills and packs loaders in a thread of its own, one after the other. Used by the server for loaders of single stations.
import { Worker } from 'node:worker_threads'
import { InputError, OutsideError } from '../boot/error.ts'
import type { Blank, Change } from './patch.ts'

export type PackAsk = { readonly id: number; readonly blank: Blank; readonly change: Change }
export type PackAnswer = { readonly id: number } & ({ readonly bytes: Uint8Array } | { readonly code: string; readonly message: string })

export type Packer = {
  /** What changeLoader answers. @throws InputError with its code, OutsideError `packer-busy` or `packer-closed`. */
  readonly change: (blank: Blank, change: Change) => Promise<Uint8Array>
  readonly close: () => Promise<void>
}

type Waiting = { readonly resolve: (bytes: Uint8Array) => void; readonly reject: (error: unknown) => void }

/** The thread begins with the first change, and a new one after a fault; it does not keep the process alive. */
export function createPacker({ queueLimit = 1000 }: { readonly queueLimit?: number } = {}): Packer {
  const waiting = new Map<number, Waiting>()
  let worker: Worker | undefined
  let lastId = 0
  let isClosed = false

  const failAll = (error: unknown): void => {
    worker = undefined
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }
  const take = (answer: PackAnswer): void => {
    const one = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('bytes' in answer) one?.resolve(answer.bytes)
    else one?.reject(answer.code === 'bug' ? new Error(answer.message) : new InputError(answer.code, answer.message))
  }
  const start = (): Worker => {
    const thread = new Worker(new URL('./pack-worker.ts', import.meta.url))
    thread.unref()
    thread.on('message', take)
    thread.on('error', failAll)
    return thread
  }

  return {
    change: (blank, change) => {
      if (isClosed) return Promise.reject(new OutsideError('packer-closed', 'the server is stopping', true))
      if (waiting.size >= queueLimit) return Promise.reject(new OutsideError('packer-busy', `${queueLimit} loaders are waiting to be packed`, true))
      worker ??= start()
      const id = ++lastId
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        worker?.postMessage({ id, blank, change } satisfies PackAsk)
      })
    },
    close: async () => {
      isClosed = true
      const thread = worker
      failAll(new OutsideError('packer-closed', 'the server is stopping', true))
      await thread?.terminate()
    },
  }
}
