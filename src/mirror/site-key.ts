// The site's own key pair for private packages: the private half in `state/keys/<name>.rsa`, mode 0600, the public half where stations and the mirror
// find it, `keys/<name>.rsa.pub`. Called by `bivouac apk`. The private half is read only to sign; it never leaves this machine.
import { createHash, createPublicKey, generateKeyPair } from 'node:crypto'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parsePrivateKey, type SigningKey } from '../apk/signature.ts'
import { ConflictError, InputError, MissingError } from '../boot/error.ts'
import { writeAtomic } from '../store/atomic.ts'
import { keyFolder } from './key.ts'
import { listFolder } from './place.ts'

/** `fingerprint`: SHA-256 of the public key in DER, hex. `publicFile` is absolute. */
export type SiteKey = { readonly name: string; readonly publicFile: string; readonly bits: number; readonly fingerprint: string }

export type SiteKeyFolders = { readonly state: string; readonly root: string }

/** What abuild-keygen makes too: half again as slow as 2048 where nobody waits, and good for as long as RSA is. */
const defaultBits = 4096
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$/

/** Makes a pair. Throws InputError `key-name`, ConflictError `key-exists`: stations trust a key by its name, so none is ever made anew. */
export async function createSiteKey(folders: SiteKeyFolders, name: string, bits = defaultBits): Promise<SiteKey> {
  if (!namePattern.test(name)) throw new InputError('key-name', `"${name.slice(0, 80)}" is no name: letters, digits and . _ @ + -`)
  const { privateFile, publicFile } = filesOf(folders, name)
  for (const file of [privateFile, publicFile])
    if (await isThere(file)) throw new ConflictError('key-exists', `there is ${file} already; stations know a key by its name, so choose another one`)
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: bits,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  await mkdir(join(folders.state, 'keys'), { recursive: true, mode: 0o700 })
  await mkdir(join(folders.root, keyFolder), { recursive: true })
  await writeAtomic(privateFile, privateKey, 0o600)
  await writeAtomic(publicFile, publicKey, 0o644).catch(async (error) => {
    await rm(privateFile, { force: true })
    throw error
  })
  return describe(folders, name)
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const filesOf = ({ state, root }: SiteKeyFolders, name: string) => ({
  privateFile: join(state, 'keys', `${name}.rsa`),
  publicFile: join(root, keyFolder, `${name}.rsa.pub`),
})

async function describe(folders: SiteKeyFolders, name: string): Promise<SiteKey> {
  const { privateFile, publicFile } = filesOf(folders, name)
  const key = createPublicKey(parsePrivateKey(privateFile, await readFile(privateFile)))
  const der = key.export({ type: 'spki', format: 'der' })
  return { name, publicFile, bits: key.asymmetricKeyDetails?.modulusLength ?? 0, fingerprint: createHash('sha256').update(der).digest('hex') }
}

/** The pairs that are here, by name. */
export async function listSiteKeys(folders: SiteKeyFolders): Promise<SiteKey[]> {
  const entries = await listFolder(join(folders.state, 'keys'))
  const names = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.rsa') && !entry.name.startsWith('.'))
    .map(({ name }) => name.slice(0, -4))
  return Promise.all(names.sort().map((name) => describe(folders, name)))
}

/** The pair to sign with: the one named, or the only one. Throws MissingError `key-missing`, InputError `key-which`; InputError `key-open` when others can read it. */
export async function openSiteKey(folders: SiteKeyFolders, name?: string): Promise<SigningKey> {
  const all = await listSiteKeys(folders)
  const found = name === undefined ? all[0] : all.find((one) => one.name === name)
  if (!found)
    throw new MissingError(
      'key-missing',
      name === undefined ? 'there is no site key: run "bivouac apk key create"' : `there is no key ${name} in ${join(folders.state, 'keys')}`,
    )
  if (name === undefined && all.length > 1)
    throw new InputError('key-which', `there are several keys (${all.map((one) => one.name).join(', ')}): say which with --key`)
  const { privateFile } = filesOf(folders, found.name)
  if ((await stat(privateFile)).mode & 0o077)
    throw new InputError('key-open', `others can read it; run: chmod 600 ${privateFile}`, { file: privateFile })
  return { keyName: `${found.name}.rsa.pub`, privateKey: parsePrivateKey(privateFile, await readFile(privateFile)) }
}
