// Hosts that are in rescue for one boot only: a mark in the state folder for each, and who takes the link away when that boot has come.
// Written by `bivouac rescue enable --once`, read by the running server; it touches only such links.
import { mkdir, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { findMac, formatMacHyphen, type Mac } from '../boot/address.ts'
import type { BootEvent } from '../boot/event.ts'
import { writeAtomic } from '../store/atomic.ts'
import { disableRescue } from './pxelinux.ts'

const folderOf = (state: string): string => join(state, 'rescue-once')

/** Notes that the host's link is for one boot. */
export async function markOnce(state: string, mac: Mac): Promise<void> {
  await mkdir(folderOf(state), { recursive: true, mode: 0o700 })
  await writeAtomic(join(folderOf(state), formatMacHyphen(mac)), '')
}

/** Forgets it; true when it was noted. */
export async function clearOnce(state: string, mac: Mac): Promise<boolean> {
  return unlink(join(folderOf(state), formatMacHyphen(mac))).then(
    () => true,
    () => false,
  )
}

/** All hosts that are noted. */
export async function listOnce(state: string): Promise<Mac[]> {
  const names = await readdir(folderOf(state)).catch(() => [])
  return names.flatMap((name) => findMac(name) ?? [])
}

/** Whose boot it is that has come. Lore: pxelinux fetches its configuration whole and once each boot, so when it was sent the link has done its work. */
function macOf({ kind, mac, detail }: BootEvent): Mac | undefined {
  if (kind === 'up') return mac
  const [, name = ''] = kind === 'script-offered' ? (/pxelinux\.cfg\/01-([0-9a-f-]{17})$/.exec(String(detail?.file ?? '')) ?? []) : []
  return findMac(name)
}

/** A listener to the event log. `folder` is `pxelinux.cfg` of the depot; `onFault` hears of what the disk refuses. */
export function createRescueWatch({
  folder,
  state,
  onFault,
}: {
  folder: string
  state: string
  onFault: (error: unknown) => void
}): (event: BootEvent) => void {
  const settle = async (mac: Mac) => {
    if (await clearOnce(state, mac)) await disableRescue(folder, mac)
  }
  return (event) => {
    const mac = macOf(event)
    if (mac) settle(mac).catch(onFault)
  }
}
