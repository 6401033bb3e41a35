// JSON bodies of the operator API: bounded, of the right type, in the shape that a route asks for. Used by the API's route files.
import type { Context } from 'hono'
import type * as z from 'zod'
import { InputError } from '../boot/error.ts'
import type { HttpEnv } from './caller.ts'

const bodyLimit = 1 << 20

/** The body as JSON, `{}` when there is none. Throws InputError `body-too-long`, `body-type` or `body-bad`. */
export async function readBody(c: Context<HttpEnv>): Promise<unknown> {
  const type = c.req.header('content-type')
  if (Number(c.req.header('content-length') ?? 0) > bodyLimit) throw new InputError('body-too-long', `a body has up to ${bodyLimit} bytes`)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.length
    if (size > bodyLimit) throw new InputError('body-too-long', `a body has up to ${bodyLimit} bytes`)
    chunks.push(chunk)
  }
  if (size === 0) return {}
  // A page of another site can send a form or plain text without asking, but not this type.
  if (!type?.startsWith('application/json')) throw new InputError('body-type', 'a body is application/json')
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (cause) {
    throw new InputError('body-bad', 'the body is no JSON', {}, { cause })
  }
}

/** The value in its shape. Throws InputError `body-bad` at the first place that does not fit. */
export function checkBody<T>(shape: z.ZodType<T>, value: unknown): T {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new InputError('body-bad', issue?.message ?? 'is not understood', { path: issue?.path.map(String).join('.') || 'body' })
}
