// A station's menu as its template needs it: items with keys, and what each leads to. Used by view.
import { fileUrl } from '../alpine/cmdline.ts'
import { formatMacHyphen } from '../boot/address.ts'
import { isUrl, type MenuEntry, nameOfEntry } from '../boot/image.ts'
import type { ScriptAsk } from './ask.ts'
import { canLoad, type LoadData, loadData } from './linux.ts'
import type { GatePlan } from './plan.ts'
import { plain, type Printed, url, word } from './text.ts'

/** `url`: another script of ours or anybody's. `config`: the same for pxelinux and GRUB, in their own form. `ipxe`: only iPXE can carry it out. */
export type MenuItem = { readonly key: string; readonly text: Printed } & (
  | { readonly way: 'url'; readonly url: Printed; readonly config?: Printed }
  | { readonly way: 'image'; readonly image: LoadData }
  | { readonly way: 'ipxe' | 'shell' | 'local' }
)

export type MenuData = {
  readonly items: readonly MenuItem[]
  /** Absent: nothing happens until somebody chooses. */
  readonly defaultKey?: string
  readonly timeoutMs: number
  /** The entries are the operator's: nothing of ours is added. */
  readonly isOwn: boolean
}

const standardSeconds = 30

/** Throws InputError for an entry that cannot stand in the script. */
export function menuData(plan: GatePlan, ask: ScriptAsk): MenuData {
  const { profile } = plan
  const own = profile.kind === 'menu' ? profile : undefined
  const items = own?.entries ? own.entries.map((entry, index) => itemOf(entry, `item${index}`, plan, ask)) : namedItems(plan, ask)
  const defaultKey = own?.default === undefined ? (items[0]?.key ?? 'local') : findDefault(own.default, own.entries, plan, ask)
  return {
    items,
    ...(defaultKey !== undefined && { defaultKey }),
    timeoutMs: defaultKey === undefined ? 0 : (own?.timeoutSeconds ?? standardSeconds) * 1000,
    isOwn: own?.entries !== undefined,
  }
}

/** A default that names no item is none: to choose another one might install something. */
function findDefault(name: string, entries: readonly MenuEntry[] | undefined, { menu }: GatePlan, { form }: ScriptAsk): string | undefined {
  const index = entries ? entries.findIndex((entry) => nameOfEntry(entry) === name) : menu.indexOf(name)
  if (index >= 0) return `item${index}`
  // pxelinux and GRUB have no more than the disk beside the items.
  const standard = form === 'pxelinux' || form === 'grub' ? ['local'] : ['local', 'again', 'shell']
  return !entries && standard.includes(name) ? name : undefined
}

const namedItems = (plan: GatePlan, ask: ScriptAsk): MenuItem[] =>
  ask.mac ? plan.menu.map((name, index) => ({ key: `item${index}`, text: plain(name), ...leadTo(name, ask) })) : []

function leadTo(profile: string, { httpBase, mac }: ScriptAsk): { way: 'url'; url: Printed; config?: Printed } {
  const folder = mac ? `boot/${formatMacHyphen(mac)}` : 'boot'
  return { way: 'url', url: url(`${httpBase}/${folder}/${profile}.ipxe`), config: word(`/${folder}/${profile}`) }
}

function itemOf(entry: MenuEntry, key: string, plan: GatePlan, ask: ScriptAsk): MenuItem {
  const item = { key, text: plain(entry.label) }
  if (entry.profile !== undefined) return { ...item, ...leadTo(entry.profile, ask) }
  if (entry.linux)
    return canLoad(entry.linux, ask.form) ? { ...item, way: 'image', image: loadData(entry.linux, plan, ask) } : { ...item, way: 'ipxe' }
  if (entry.chain !== undefined) return { ...item, way: 'url', url: url(isUrl(entry.chain) ? entry.chain : fileUrl(ask.httpBase, entry.chain)) }
  return { ...item, way: entry.shell ? 'shell' : 'local' }
}
