// Our own TFTP client as a program: `node tftp-get.ts '<json>'`. For tests in namespaces; prints one JSON line when all fetches have ended.
import { createHash } from 'node:crypto'
import { type ClientOptions, fetchByTftp } from './tftp-client.ts'

export type GetProgram = { readonly address: string; readonly port?: number; readonly times?: number; readonly timeoutMs?: number } & ClientOptions
export type GetResult = {
  readonly outcome: string
  readonly sha256: string
  readonly packets: number
  readonly duplicates: number
  readonly oack: Record<string, string>
  readonly ms: number
  readonly error?: { code: number; message: string }
}

const { address, port = 69, times = 1, timeoutMs = 30_000, ...wish } = JSON.parse(process.argv[2] ?? '{}') as GetProgram
const startedAt = performance.now()
const fetchOne = async (): Promise<GetResult> => {
  const { bytes, ...result } = await fetchByTftp({ address, port }, wish, timeoutMs)
  return { ...result, sha256: createHash('sha256').update(bytes).digest('hex'), ms: Math.round(performance.now() - startedAt) }
}
process.stdout.write(`${JSON.stringify(await Promise.all(Array.from({ length: times }, fetchOne)))}\n`)
