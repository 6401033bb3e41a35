// What an operator asks of NFS: which folders of the depot, who may, through which server. Used by phase, http and cli; opens nothing.
import { realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { z } from 'zod'
import { formatSubnet, type Ipv4, parseIpv4, parseSubnet } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { ipv4Schema } from '../boot/field.ts'

/** How clients may use the folders. */
export type NfsAccess = 'read-write' | 'read-only'

/** Folders that no client gets whatever is asked: who writes there, or reads there, owns every station. */
const neverExported: ReadonlySet<string> = new Set(['secrets'])

const clientSchema = z.string().transform((text, context): string => {
  try {
    // One station is a client too, in either spelling.
    const single = text.replace(/\/32$/, '')
    return single.includes('/') ? formatSubnet(parseSubnet(single)) : parseIpv4(single)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
})

const folderSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,3}$/, 'a folder of the depot such as configs, or configs/groups')
  .refine((name) => !neverExported.has(name.split('/')[0] as string), 'is never given out by NFS')

// Quoted in ganesha's file, where no character can be escaped.
const pathSchema = z.string().regex(/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._+@ -]+)+$/, 'an absolute path without quotes, such as /srv/pxe')

export const nfsPlanSchema = z
  .strictObject({
    engine: z.enum(['ganesha', 'kernel']).default('ganesha'),
    clients: z
      .array(clientSchema)
      .min(1, 'say who may: addresses or subnets, such as 10.9.0.0/24 (by default the subnets of the networks that are declared)')
      .max(64),
    folders: z.array(folderSchema).min(1).max(16).default(['configs', 'data', 'scripts']),
    /** What clients mount. Absent: the depot's own path, as with the kernel's server. */
    path: pathSchema.optional(),
    address: ipv4Schema.default('0.0.0.0' as Ipv4),
    port: z.number().int().min(1).max(65535).default(2049),
    versions: z
      .array(z.union([z.literal(3), z.literal(4)]))
      .min(1)
      .max(2)
      .default([4]),
    /** Version 3 asks for mounts on a port of its own. */
    mountPort: z.number().int().min(1).max(65535).default(20048),
    otherwise: z.enum(['read-only', 'none']).default('none'),
  })
  .refine(({ engine, port, address, path }) => engine === 'ganesha' || (port === 2049 && address === '0.0.0.0' && path === undefined), {
    message: "the kernel's server has its own port, address and paths (/etc/nfs.conf)",
    path: ['engine'],
  })

/** One export, as an operator wants it. */
export type NfsPlan = z.output<typeof nfsPlanSchema>

/** One folder: where it is here, under which path clients see it, and whose all files are that they make: its owner's. */
export type NfsFolder = { readonly path: string; readonly pseudo: string; readonly uid: number; readonly gid: number }

/** Throws InputError `nfs-plan` with every mistake. */
export function parseNfsPlan(value: unknown): NfsPlan {
  const result = nfsPlanSchema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new InputError('nfs-plan', issue?.message ?? 'is not understood', { path: issue?.path.map(String).join('.') || 'nfs' })
}

/** Folders with their real paths. Throws MissingError for one that is not there, InputError for one that a link leads out of the depot. */
export async function resolveFolders(plan: NfsPlan, depot: string): Promise<NfsFolder[]> {
  const root = await realpath(depot)
  return Promise.all(
    plan.folders.map(async (name) => {
      const path = await realpath(join(depot, name)).catch((cause: Error) => {
        throw new MissingError('nfs-folder', `there is no folder ${name} in the depot ${depot} (bivouac depot init makes the usual ones)`, { cause })
      })
      const top = path.slice(root.length + 1).split(sep, 1)[0] as string
      if (path.startsWith(root + sep) && neverExported.has(top))
        throw new InputError('nfs-folder', `${name} leads to ${top}, which is never given out by NFS`, { path: 'folders' })
      if (!path.startsWith(root + sep)) throw new InputError('nfs-folder', `${name} leads out of the depot, to ${path}`, { path: 'folders' })
      if (!pathSchema.safeParse(path).success) throw new InputError('nfs-folder', `${path}: NFS servers take no such characters in a path`)
      const { uid, gid } = await stat(path)
      return { path, pseudo: `${plan.path ?? root}/${name}`, uid, gid }
    }),
  )
}
