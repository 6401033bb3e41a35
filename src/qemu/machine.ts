// One virtual PC: its QEMU command line as data, and its life. Used by lab and by test/qemu. Never touches the host's network:
// the caller gives a tap interface of its own, or takes QEMU's user network.
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { Mac } from '../boot/address.ts'
import { OutsideError } from '../boot/error.ts'
import { findQemu, findUefi, needBootRom, type UefiFirmware } from './firmware.ts'
import { createSerial, type Serial } from './serial.ts'

/** `bios`: SeaBIOS with QEMU's iPXE ROM. `uefi`: OVMF's own PXE. `uefi-http`: OVMF's HTTP Boot. */
export type MachineFirmware = 'bios' | 'uefi' | 'uefi-http'

/** One network card. `user` is QEMU's own little network (slirp, 10.0.2.0/24, the host is 10.0.2.2). */
export type Card = {
  readonly mac: Mac
  readonly model?: 'virtio-net' | 'e1000'
  readonly link: { readonly kind: 'tap'; readonly interface: string } | { readonly kind: 'user'; readonly bootfile?: string }
  /** `false`: the firmware does not try to boot from it. */
  readonly boots?: boolean
  /** UEFI with the card's iPXE ROM in place of OVMF's own network stack; a BIOS machine always has the ROM. */
  readonly hasRom?: boolean
}

export type MachineOptions = {
  readonly firmware: MachineFirmware
  readonly cards: readonly Card[]
  /** A folder of this machine's own, for its firmware variables; made when absent. */
  readonly folder: string
  /** A stick (a plain disk) or a CD that it may start from. */
  readonly medium?: { readonly file: string; readonly kind: 'stick' | 'cd' }
  readonly memoryMiB?: number
  /** `kvm` only where /dev/kvm runs firmware: nested virtual machines often cannot. */
  readonly accel?: 'tcg' | 'kvm'
  /** SMBIOS: what `uuid`, `serial`… of iPXE say. */
  readonly identity?: { readonly uuid?: string; readonly serial?: string; readonly manufacturer?: string; readonly product?: string }
  /** A kernel given by QEMU itself in place of a network boot. */
  readonly direct?: { readonly kernel: string; readonly initramfs: string; readonly line: string }
  /** The machine stands still until `resume`: its tap interface has a carrier, and no time goes by. */
  readonly isPaused?: boolean
  /** What QEMU is run by: `ip netns exec <name>`, so that it finds its tap interface. */
  readonly launcher?: readonly string[]
}

export type Machine = {
  readonly serial: Serial
  readonly waitFor: Serial['waitFor']
  readonly resume: () => void
  /** Ends it now; resolves when QEMU is gone. */
  readonly stop: () => Promise<void>
  /** Resolves with QEMU's exit code: 0 when the station switched itself off, null when a signal ended it. */
  readonly exited: Promise<number | null>
}

/** The arguments for QEMU. Pure. File descriptor 3 is the control socket. `variables` is this run's own copy. */
export function machineArguments(options: MachineOptions, uefi?: UefiFirmware): string[] {
  const { firmware, cards, memoryMiB = 512, accel = 'tcg', direct, isPaused = false } = options
  return [
    ['-machine', `${firmware === 'bios' ? 'pc' : 'q35'},graphics=off,accel=${accel}`],
    // Lore: SeaBIOS and BIOS iPXE write to the serial line only without any display.
    ['-vga', 'none', '-nographic', '-monitor', 'none', '-serial', 'stdio', '-no-reboot', '-nodefaults'],
    ['-m', String(memoryMiB), '-smp', '1'],
    // Lore: newer OVMF refuses to boot from the network without a source of chance.
    ['-device', 'virtio-rng-pci'],
    ['-chardev', 'socket,id=control,fd=3', '-mon', 'chardev=control,mode=control'],
    ...(uefi ? uefiArguments(uefi, firmware) : []),
    ...(options.medium ? [mediumArguments(options.medium)] : []),
    ...cards.map((card, index) => cardArguments(card, index, firmware)),
    ...(options.identity ? [identityArguments(options.identity)] : []),
    ...(direct ? [['-kernel', direct.kernel, '-initrd', direct.initramfs, '-append', direct.line]] : []),
    ...(isPaused ? [['-S']] : []),
  ].flat()
}

function uefiArguments({ code, variables }: UefiFirmware, firmware: MachineFirmware): string[][] {
  const flag = (name: string, value: 'y' | 'n') => ['-fw_cfg', `name=opt/org.tianocore/${name},string=${value}`]
  return [
    ['-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${escapeComma(code)}`],
    ['-drive', `if=pflash,format=raw,unit=1,file=${escapeComma(variables)}`],
    // Lore: OVMF tries PXEv4, PXEv6, HTTPv4 in turn, each until it times out.
    flag('IPv6PXESupport', 'n'),
    flag('IPv6Support', 'n'),
    ...(firmware === 'uefi-http' ? [flag('IPv4PXESupport', 'n')] : []),
  ]
}

// Lore: kernels for virtual machines have no driver for q35's AHCI, so that a CD is only for BIOS machines, and a stick is a virtio disk.
function mediumArguments({ file, kind }: NonNullable<MachineOptions['medium']>): string[] {
  const drive = `file=${escapeComma(file)},format=raw,readonly=on`
  return ['-drive', kind === 'cd' ? `${drive},media=cdrom,if=ide` : `${drive},if=virtio`]
}

/** Does the card bring a boot ROM of its own? */
const hasRom = (card: Card, firmware: MachineFirmware): boolean => card.boots !== false && (firmware === 'bios' || card.hasRom === true)

function cardArguments(card: Card, index: number, firmware: MachineFirmware): string[] {
  const { mac, model = 'virtio-net', link, boots = true } = card
  const id = `net${index}`
  const rom = hasRom(card, firmware) ? '' : ',romfile='
  const device = model === 'virtio-net' ? 'virtio-net-pci' : model
  const boot = boots ? `,bootindex=${index + 1}` : ''
  return [...linkArguments(link, index), '-device', `${device},netdev=${id},mac=${mac}${boot}${rom}`]
}

// Lore: iPXE asks for IPv6 routers and goes on only after 16 s of silence. A tap interface shares its hub with a user network that
// has IPv6 alone, is closed to the outside, and answers that question at once.
function linkArguments(link: Card['link'], index: number): string[] {
  const id = `net${index}`
  if (link.kind === 'user') return ['-netdev', `user,id=${id}${link.bootfile ? `,bootfile=${escapeComma(link.bootfile)}` : ''}`]
  const port = (name: string, behind?: string) => ['-netdev', `hubport,id=${name},hubid=${index}${behind ? `,netdev=${behind}` : ''}`]
  return [
    ['-netdev', `tap,id=wire${index},ifname=${link.interface},script=no,downscript=no`],
    ['-netdev', `user,id=six${index},ipv4=off,ipv6=on,restrict=on`],
    port(`wireport${index}`, `wire${index}`),
    port(`sixport${index}`, `six${index}`),
    port(id),
  ].flat()
}

function identityArguments({ uuid, ...texts }: NonNullable<MachineOptions['identity']>): string[] {
  const fields = Object.entries(texts).map(([name, value]) => `,${name}=${escapeComma(value)}`)
  return [...(uuid ? ['-uuid', uuid] : []), ...(fields.length ? ['-smbios', `type=1${fields.join('')}`] : [])]
}

const escapeComma = (text: string): string => text.replaceAll(',', ',,')

const romNames = (cards: readonly Card[]): string[] =>
  cards.some(({ model }) => model === 'e1000') ? ['pxe-e1000.rom', 'efi-e1000.rom'] : ['pxe-virtio.rom', 'efi-virtio.rom']

/** Switches the machine on. Throws MissingError when QEMU or its firmware is not installed. */
export function startMachine(options: MachineOptions): Machine {
  const qemu = findQemu()
  mkdirSync(options.folder, { recursive: true })
  const uefi = options.firmware === 'bios' ? undefined : copyVariables(options.folder)
  if (!options.direct && options.cards.some((card) => hasRom(card, options.firmware))) needBootRom(qemu, romNames(options.cards))
  const [program = qemu, ...words] = [...(options.launcher ?? []), qemu, ...machineArguments(options, uefi)]
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const serial = createSerial()
  child.stdout?.setEncoding('utf8').on('data', serial.push)
  child.stderr?.setEncoding('utf8').on('data', serial.push)
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(new OutsideError('qemu-failed', `${qemu}: ${error.message}`, false, { cause: error })))
    child.once('close', (code) => resolve(code))
  })
  exited.then(serial.end, serial.end)
  const control = child.stdio[3] as Duplex
  control.on('error', () => {}).resume()
  return { serial, waitFor: serial.waitFor, resume: () => resume(control), stop: () => stop(child, exited), exited }
}

// The variables hold the boot options of earlier runs: each run begins with fresh ones.
function copyVariables(folder: string): UefiFirmware {
  const { code, variables } = findUefi()
  const own = join(folder, 'variables.fd')
  copyFileSync(variables, own)
  return { code, variables: own }
}

/** QEMU Machine Protocol: capabilities first, then the command. */
function resume(control: Duplex): void {
  control.write('{"execute":"qmp_capabilities"}\n{"execute":"cont"}\n')
}

async function stop(child: ChildProcess, exited: Promise<number | null>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  await exited.catch(() => null)
}
