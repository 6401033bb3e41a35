// The configuration of nfs-ganesha, an NFS server in user space, and what its log says of a start that went wrong. Used by engine.
import type { NfsAccess, NfsFolder, NfsPlan } from './plan.ts'

export type GaneshaSite = {
  readonly folders: readonly NfsFolder[]
  /** Where ganesha keeps what its clients hold. */
  readonly recovery: string
}

/**
 * The text of `ganesha.conf`. TCP only, no lock manager, no quota: NFSv4 alone then needs no rpcbind and no D-Bus.
 * Lore: nfs-ganesha 4.3 of Debian 12; without Graceless the first write after a start waits for 90 seconds.
 */
export function renderGaneshaConfig(plan: NfsPlan, access: NfsAccess, { folders, recovery }: GaneshaSite): string {
  const versions = plan.versions.join(', ')
  const core = [
    `Protocols = ${versions};`,
    `NFS_Port = ${plan.port};`,
    ...(plan.versions.includes(3) ? [`MNT_Port = ${plan.mountPort};`] : []),
    `Bind_addr = ${plan.address};`,
    'Enable_UDP = false;',
    'Enable_NLM = false;',
    'Enable_RQUOTA = false;',
    'mount_path_pseudo = true;',
  ]
  const defaults = ['Access_Type = None;', `Protocols = ${versions};`, 'Transports = TCP;', 'SecType = sys;', 'Squash = All_Squash;']
  return [
    '# Written by bivouac at each start; changes are lost.',
    block('NFS_CORE_PARAM', core),
    block('NFSv4', ['Graceless = true;', 'RecoveryBackend = fs;', `RecoveryRoot = "${recovery}";`, 'Only_Numeric_Owners = true;']),
    block('NFS_KRB5', ['Active_krb5 = false;', `CCacheDir = "${recovery}";`]),
    block('EXPORT_DEFAULTS', defaults),
    ...folders.map((folder, at) => renderExport(folder, at + 1, plan.clients, access)),
    block('LOG', ['Default_Log_Level = EVENT;']),
    '',
  ].join('\n')
}

const block = (name: string, lines: readonly string[]): string => [`${name} {`, ...lines.map((line) => `  ${line}`), '}'].join('\n')

function renderExport({ path, pseudo, uid, gid }: NfsFolder, id: number, clients: readonly string[], access: NfsAccess): string {
  return block('EXPORT', [
    `Export_Id = ${id};`,
    `Path = "${path}";`,
    `Pseudo = "${pseudo}";`,
    `Anonymous_uid = ${uid};`,
    `Anonymous_gid = ${gid};`,
    'FSAL { Name = VFS; }',
    `CLIENT { Clients = ${clients.join(', ')}; Access_Type = ${access === 'read-write' ? 'RW' : 'RO'}; }`,
  ])
}

/** It answers from here on. */
export const isReadyLine = (line: string): boolean => line.includes('NFS SERVER INITIALIZED')

/** What is wrong, where a line says so: ganesha starts without an export that it cannot give. Complaints about D-Bus and Kerberos are none. */
export function findFault(line: string): string | undefined {
  // Lore: version 4 goes on without a portmapper, version 3 does not (4.3); either way this is all that is said of it.
  if (line.includes('Cannot register NFS V3')) return 'Cannot register NFS V3'
  const [, part = '', , text = ''] = / :([A-Z0-9 ]+) :(CRIT|FATAL) :(.*)$/.exec(line) ?? []
  return /^(CONFIG|EXPORT|FSAL|NFS STARTUP|DISP)$/.test(part) && !text.includes('credential') ? text : undefined
}

/** The remedy for what ganesha says, where we know one. */
export function explainFault(text: string): string {
  if (text.includes('Operation not supported'))
    return `${text}; this file system has no file handles (an overlay or FUSE mount): put the depot on ext4, xfs, btrfs or tmpfs`
  if (text.includes('Cannot register NFS V3')) return 'version 3 needs a portmapper: install and start rpcbind, or leave --nfs-versions at 4'
  if (text.includes('No IP address found')) return `${text}; --address takes an address of this machine`
  if (/Fatal errors|Error (setting|while)/.test(text)) return `${text} (its configuration is ganesha.conf beside the log)`
  return text
}
