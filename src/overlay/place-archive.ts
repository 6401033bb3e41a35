// Puts a checked archive into `configs/` as one station's own, whole or not at all. Used by accept and history.
import { copyFile, mkdir, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { findMac, formatMacHyphen, type Mac } from '../boot/address.ts'
import { diskError, draftPath, replaceDurably } from '../store/atomic.ts'

const ending = /(\.apkovl)?\.tar\.gz$/

/**
 * Copies the file to the station's place, under the name that is there already (the shelf takes any usual spelling of the MAC), else
 * `configs/<mac with hyphens>.tar.gz`. Answers that path below the depot. Throws OutsideError `write-failed`; then the old one stands.
 */
export async function placeArchive(depot: string, mac: Mac, file: string): Promise<string> {
  const folder = join(depot, 'configs')
  const name = await chooseName(folder, mac)
  const path = join(folder, name)
  const draft = draftPath(path)
  try {
    await mkdir(folder, { recursive: true })
    await copyFile(file, draft)
    const handle = await open(draft, 'r+')
    try {
      await handle.chmod(0o600)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await replaceDurably(draft, path)
    return `configs/${name}`
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw diskError(path, error)
  }
}

/** The station's own archive below the depot, or undefined. */
export async function findArchive(depot: string, mac: Mac): Promise<string | undefined> {
  const name = await findName(join(depot, 'configs'), mac)
  return name && `configs/${name}`
}

const chooseName = async (folder: string, mac: Mac): Promise<string> => (await findName(folder, mac)) ?? `${formatMacHyphen(mac)}.tar.gz`

/** As the shelf chooses among several spellings. */
async function findName(folder: string, mac: Mac): Promise<string | undefined> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => ending.test(name) && findMac(name.replace(ending, '')) === mac).sort()
  return names.find((name) => name === `${mac}.tar.gz`) ?? names[0]
}
