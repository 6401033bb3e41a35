// What a station would lack or suffer from, by what was found in its overlay. Called by the inspector. Pure.
// Facts: Alpine's init, apk and OpenRC as tried with 3.19.1.

/** Something that the station will lack or suffer from. `code` is stable; `remedy` says what to do. */
export type OverlayWarning = { readonly code: string; readonly text: string; readonly remedy?: string }

/** What the inspector gathered. */
export type OverlayFindings = {
  /** The kept files' texts, by path. */
  readonly texts: ReadonlyMap<string, string>
  /** `<runlevel>/<service>` */
  readonly services: readonly string[]
  readonly hasDefaultServices: boolean
  /** First example of each oddity: code → member's name. */
  readonly oddities: ReadonlyMap<string, string>
}

/** By it a composed overlay sets root's password. */
export const rootScript = 'etc/local.d/bivouac-root.start'

type Rule = readonly [holds: boolean, code: string, text: string, remedy: string]

/** Every warning, with what to do. */
export function warnOverlay(findings: OverlayFindings): OverlayWarning[] {
  return [...warnOfShape(findings), ...warnOfServices(findings), ...warnOfFiles(findings)]
    .filter(([holds]) => holds)
    .map(([, code, text, remedy]) => ({ code, text, remedy }))
}

/** How the archive was made. */
function warnOfShape({ oddities }: OverlayFindings): Rule[] {
  const first = (code: string): string | undefined => oddities.get(code)
  return [
    [
      oddities.has('dot-slash'),
      'dot-slash',
      `names begin with "./" (${first('dot-slash')}): packages overwrite such files outside etc/`,
      'pack it as lbu does: tar -C <folder> -czf <file> etc, naming the folders and not "."',
    ],
    [
      oddities.has('top-level'),
      'top-level',
      `${first('top-level')} stands at the top: apk stops reading the list of the overlay's files there`,
      'put it into a folder, or leave it out',
    ],
    [
      oddities.has('owner-names'),
      'owner-names',
      `owners by name (${first('owner-names')}): only root's are known when it is unpacked`,
      'pack it with numbers: tar --numeric-owner --owner 0 --group 0',
    ],
    [
      oddities.has('through-link'),
      'through-link',
      `${first('through-link')} is written through a link of the archive`,
      'name the real folder, or leave the link out',
    ],
    [oddities.has('setuid'), 'setuid', `${first('setuid')} runs as its owner (set-user-ID)`, 'take the bit away, unless it is meant'],
  ]
}

/** What starts in the station, and what does not. */
function warnOfServices({ services, hasDefaultServices }: OverlayFindings): Rule[] {
  const has = (...names: string[]): boolean => services.some((service) => names.includes(service.slice(service.indexOf('/') + 1)))
  return [
    [
      !services.length && !hasDefaultServices,
      'no-services',
      'no runlevels and no etc/.default_boot_services: no service will run',
      'add the links of etc/runlevels, or an empty file etc/.default_boot_services; a composed overlay has them by itself',
    ],
    [
      !has('networking', 'dhcpcd', 'networkmanager', 'connman'),
      'no-networking',
      'no service for the network: the lease will not be renewed',
      'add etc/runlevels/boot/networking and etc/network/interfaces',
    ],
    [
      !has('modloop') && !hasDefaultServices,
      'no-modloop',
      'modloop is in no runlevel: no kernel modules beyond the initramfs',
      'add etc/runlevels/sysinit/modloop, a link to /etc/init.d/modloop',
    ],
    [
      services.length > 0 && !has('devfs', 'udev', 'mdev', 'mdevd') && !hasDefaultServices,
      'no-devfs',
      'neither devfs nor mdev nor udev is in a runlevel: devices that come later have no nodes',
      'add etc/runlevels/sysinit/devfs and etc/runlevels/sysinit/mdev',
    ],
    [
      services.length > 0 && !has('hostname') && !hasDefaultServices,
      'no-hostname-service',
      'hostname is in no runlevel: etc/hostname is not read',
      'add etc/runlevels/boot/hostname',
    ],
  ]
}

function warnOfFiles({ texts, services }: OverlayFindings): Rule[] {
  const isLockedByUs = texts.has(rootScript) && services.includes('default/local')
  return [
    [!texts.has('etc/apk/world'), 'no-world', 'no etc/apk/world: only alpine-base is installed', 'add etc/apk/world, a package a line'],
    [
      !texts.get('etc/hostname')?.trim(),
      'no-hostname',
      'no etc/hostname: the station is called localhost',
      'add etc/hostname, or name the station in its record',
    ],
    [
      texts.has('etc/apk/repositories'),
      'own-repositories',
      'brings etc/apk/repositories: keep their branch with the release',
      'leave the file out: then those of the release are written there',
    ],
    [
      isRootOpen(texts.get('etc/shadow')) && !isLockedByUs,
      'root-open',
      'root has no password: lock it in etc/shadow',
      'say root: locked in layer.yaml of a layer, or bring a whole etc/shadow',
    ],
  ]
}

/** Alpine's own shadow has root without a password; an overlay that brings none leaves it so. */
function isRootOpen(shadow: string | undefined): boolean {
  const root = shadow?.split('\n').find((line) => line.startsWith('root:'))
  return root === undefined || root.split(':')[1] === ''
}
