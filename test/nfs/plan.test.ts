import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { renderGaneshaConfig, explainFault, findFault, isReadyLine } from '../../src/nfs/ganesha.ts'
import { renderExports } from '../../src/nfs/kernel.ts'
import { parseNfsPlan, resolveFolders } from '../../src/nfs/plan.ts'
import { seededRandom } from '../support/random.ts'
import { makeScratch } from '../support/scratch.ts'

const site = {
  folders: [
    { path: '/srv/pxe/configs', pseudo: '/srv/pxe/configs', uid: 1000, gid: 1001 },
    { path: '/srv/pxe/my data', pseudo: '/srv/pxe/my data', uid: 0, gid: 0 },
  ],
  recovery: '/var/lib/bivouac/nfs/recovery',
}

describe('a plan', () => {
  it('says what is left out', () => {
    expect(parseNfsPlan({ clients: ['10.9.0.0/24', '10.9.1.7/32'] })).toEqual({
      engine: 'ganesha',
      clients: ['10.9.0.0/24', '10.9.1.7'],
      folders: ['configs', 'data', 'scripts'],
      address: '0.0.0.0',
      port: 2049,
      versions: [4],
      mountPort: 20048,
      otherwise: 'none',
    })
  })

  it.each([
    [{}, 'clients'],
    [{ clients: [] }, 'say who may'],
    [{ clients: ['*'] }, 'IPv4 address'],
    [{ clients: ['0.0.0.0/0'] }, 'prefix 1 to 30'],
    [{ clients: ['10.9.0.1/24'] }, 'host bits'],
    [{ clients: ['10.9.0.1; }'] }, 'IPv4 address'],
    [{ clients: ['10.9.0.1'], folders: ['secrets'] }, 'never given out'],
    [{ clients: ['10.9.0.1'], folders: ['secrets/keys'] }, 'never given out'],
    [{ clients: ['10.9.0.1'], folders: ['../etc'] }, 'a folder of the depot'],
    [{ clients: ['10.9.0.1'], folders: ['/etc'] }, 'a folder of the depot'],
    [{ clients: ['10.9.0.1'], path: '/srv/"; }' }, 'without quotes'],
    [{ clients: ['10.9.0.1'], path: 'srv' }, 'absolute path'],
    [{ clients: ['10.9.0.1'], engine: 'kernel', port: 2050 }, "kernel's server"],
    [{ clients: ['10.9.0.1'], nonsense: 1 }, 'nonsense'],
  ])('refuses %j', (value, message) => expect(() => parseNfsPlan(value)).toThrow(message))

  it('gives no folder whose link leads to secrets, or out of the depot', async () => {
    const depot = await makeScratch()
    for (const name of ['configs', 'secrets/kiosk']) mkdirSync(join(depot, name), { recursive: true })
    symlinkSync('secrets', join(depot, 'data'))
    symlinkSync('../secrets/kiosk', join(depot, 'configs/own'))
    symlinkSync('/tmp', join(depot, 'out'))
    const folders = (...names: string[]) => resolveFolders(parseNfsPlan({ clients: ['10.9.0.1'], folders: names }), depot)
    expect(await folders('configs')).toHaveLength(1)
    for (const name of ['data', 'configs/own']) await expect(folders('configs', name)).rejects.toThrow('never given out by NFS')
    await expect(folders('out')).rejects.toThrow('leads out of the depot')
  })

  it('lets nothing through that could end a quoted word in a configuration file', () => {
    const random = seededRandom(11)
    const letters = ['"', "'", '\\', '\n', ';', '}', '/', '.', 'a', ' ', '#', '\0', '(', '-']
    for (let round = 0; round < 2000; round++) {
      const text = Array.from({ length: 1 + Math.floor(random() * 8) }, () => letters[Math.floor(random() * letters.length)]).join('')
      for (const value of [{ clients: [text] }, { clients: ['10.0.0.1'], path: `/${text}` }, { clients: ['10.0.0.1'], folders: [text] }]) {
        try {
          const { path, folders } = parseNfsPlan(value)
          expect(`${path} ${folders}`).not.toMatch(/["'\\\n;}#\0(]|\.\./)
        } catch (error) {
          expect(error).toMatchObject({ code: 'nfs-plan' })
        }
      }
    }
  })
})

describe('what servers are given', () => {
  it('is this for nfs-ganesha', async () => {
    const plan = parseNfsPlan({ clients: ['10.9.0.0/24', '10.9.1.7'], port: 12049, address: '10.9.0.1' })
    await expect(renderGaneshaConfig(plan, 'read-write', site)).toMatchFileSnapshot('../golden/ganesha.conf')
  })

  it('is read-only outside of the phase, and has version 3 with its second port when asked', () => {
    const text = renderGaneshaConfig(parseNfsPlan({ clients: ['10.9.1.7'], versions: [3, 4] }), 'read-only', site)
    expect(text.match(/Access_Type = \w+/g)).toEqual(['Access_Type = None', 'Access_Type = RO', 'Access_Type = RO'])
    expect(text).toContain('Protocols = 3, 4;')
    expect(text).toContain('MNT_Port = 20048;')
  })

  it("is this for the kernel's", () => {
    const text = renderExports(parseNfsPlan({ clients: ['10.9.0.0/24', '10.9.1.7'], engine: 'kernel' }), 'read-write', site.folders)
    const options = (id: string) => `rw,sync,no_subtree_check,all_squash,${id}`
    const [ours, roots] = [options('anonuid=1000,anongid=1001'), options('anonuid=0,anongid=0')]
    expect(text.split('\n').slice(1)).toEqual([
      `"/srv/pxe/configs" 10.9.0.0/24(${ours}) 10.9.1.7(${ours})`,
      `"/srv/pxe/my data" 10.9.0.0/24(${roots}) 10.9.1.7(${roots})`,
      '',
    ])
  })
})

// Lines of nfs-ganesha 4.3 (Debian 12), 2026-11-21.
describe("ganesha's log", () => {
  const line = (rest: string) => `21/11/2026 05:05:11 : epoch 6b012687 : vm : nfs-ganesha-5012[main] ${rest}`
  it('tells when it answers', () => {
    expect(isReadyLine(line('nfs_start :NFS STARTUP :EVENT :             NFS SERVER INITIALIZED'))).toBe(true)
    expect(isReadyLine(line('main :MAIN :EVENT :nfs-ganesha Starting: Ganesha Version 4.3'))).toBe(false)
  })

  it.each([
    ['vfs_lookup_path :FSAL :CRIT :Could not get handle for path /x, error Operation not supported', 'ext4, xfs, btrfs or tmpfs'],
    ['config_errs_to_log :CONFIG :CRIT :Config File (./g.conf:4): No IP address found for 10.9.0.1 because:Name or service not known', '--address'],
    ['__Register_program :DISP :MAJ :Cannot register NFS V3 on TCP', 'rpcbind'],
    ['main :NFS STARTUP :FATAL :Fatal errors.  Server exiting...', 'ganesha.conf'],
  ])('%s', (text, remedy) => expect(explainFault(findFault(line(text)) ?? '')).toContain(remedy))

  it.each([
    'gsh_dbus_pkginit :DBUS :CRIT :dbus_bus_get failed (Failed to connect to socket /run/dbus/system_bus_socket: No such file or directory)',
    '__Register_program :DISP :MAJ :Cannot register NFS V4 on TCP',
    'gssd_refresh_krb5_machine_credential :NFS CB :CRIT :ERROR: gssd_refresh_krb5_machine_credential: no usable keytab entry found',
    'nfs_rpc_cb_init_ccache :NFS STARTUP :WARN :gssd_refresh_krb5_machine_credential failed (-1765328160:2)',
  ])('passes over %s', (text) => expect(findFault(line(text))).toBeUndefined())
})
