// The key that signs the index of images: made once, kept in the state, trusted only by stations that boot from such an image. Called by the command.
import { createHash, createPublicKey, generateKeyPair } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parsePrivateKey } from '../apk/signature.ts'
import { codeOf, writeAtomic } from '../store/atomic.ts'
import type { MediaAsk } from './ask.ts'

const fileName = 'key.rsa'

/** The key pair of `<state>/media/key.rsa`, apart from the site keys of private packages; made when there is none, unless `mayMake` is false: then one for this call alone. Throws InputError `key-bad`. */
export async function openMediaKey(state: string, mayMake = true): Promise<MediaAsk['signingKey']> {
  const folder = join(state, 'media')
  const path = join(folder, fileName)
  let pem = await readFile(path, 'utf8').catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error
  })
  if (pem === undefined) {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 4096 })
    pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    if (mayMake) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await writeAtomic(path, pem)
    }
  }
  const privateKey = parsePrivateKey(path, pem)
  const publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string
  // Named by its content: a new key never stands under an old one's name.
  const keyName = `bivouac-media-${createHash('sha256').update(publicPem).digest('hex').slice(0, 8)}.rsa.pub`
  return { keyName, privateKey, publicPem }
}
