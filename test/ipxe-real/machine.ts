// Loaders that were really built, in QEMU's own little network (10.0.2.0/24, we are 10.0.2.2): no root, no bridge. Used by the tests beside.
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/** By PXE (bios, uefi, arm64), or from what is plugged in: stick, CD, disk, floppy, a card's own ROM, or as a kernel. */
export type Way =
  | 'bios'
  | 'uefi'
  | 'uefi-i386'
  | 'arm64'
  | 'bios-stick'
  | 'uefi-stick'
  | 'bios-cd'
  | 'uefi-cd'
  | 'bios-disk'
  | 'floppy'
  | 'rom'
  | 'kernel'

export const firmware = {
  code: '/usr/share/OVMF/OVMF_CODE_4M.fd',
  variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
  // Debian's ovmf-ia32 has this form alone.
  i386Code: '/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd',
  i386Variables: '/usr/share/OVMF/OVMF32_VARS_4M.fd',
  armCode: '/usr/share/AAVMF/AAVMF_CODE.fd',
  armVariables: '/usr/share/AAVMF/AAVMF_VARS.fd',
}

export type Station = {
  readonly text: () => string
  readonly waitFor: (pattern: RegExp, timeoutMs: number) => Promise<void>
  readonly stop: () => Promise<void>
}

/** A wire of a test network in place of QEMU's own: a tap interface, and what QEMU is run by to find it. */
export type Wire = { readonly tap: string; readonly launcher: readonly string[] }

/** Starts a machine that boots `file` out of `folder`: by PXE, or as a stick. */
export function bootLoader(way: Way, folder: string, file: string, mac: string, wire?: Wire): Station {
  const variables = join(folder, `variables-${way}.fd`)
  if (way.startsWith('uefi')) copyFileSync(way === 'uefi-i386' ? firmware.i386Variables : firmware.variables, variables)
  if (way === 'arm64') copyFileSync(firmware.armVariables, variables)
  const flash = (code: string): string[] => [
    '-drive',
    `if=pflash,format=raw,readonly=on,file=${code}`,
    '-drive',
    `if=pflash,format=raw,file=${variables}`,
    '-device',
    'virtio-rng-pci',
  ]
  const stick = (device: string): string[] => ['-drive', `file=${join(folder, file)},format=raw,if=none,id=stick,snapshot=on`, '-device', device]
  const byPxe = ['bios', 'uefi', 'uefi-i386', 'arm64'].includes(way)
  const net = wire ? `tap,id=net,ifname=${wire.tap},script=no,downscript=no` : `user,id=net${byPxe ? `,tftp=${folder},bootfile=${file}` : ''}`
  const card = (model: string, rest = ''): string[] => ['-netdev', net, '-device', `${model},netdev=net,mac=${mac}${rest}`]
  // Lore: a card without ROM leaves the network to OVMF's own stack, and a stick to the stick.
  const quiet = ',romfile='
  const common = ['-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-no-reboot', '-nodefaults']
  const bios = (...words: string[]): string[] => ['qemu-system-x86_64', '-machine', 'pc', '-vga', 'std', '-m', '256', ...common, ...words]
  const uefi = (...words: string[]): string[] => ['qemu-system-x86_64', '-machine', 'q35', '-m', '512', ...common, ...flash(firmware.code), ...words]
  // The kernel of the stand-in release knows no e1000; without it, a second driver of iPXE's own is seen at work.
  const own = card(wire ? 'virtio-net-pci' : 'e1000', quiet)
  const path = join(folder, file)
  const drive = (kind: string): string[] => ['-drive', `file=${path},format=raw,if=${kind},snapshot=on`]
  const words: Record<Way, string[]> = {
    bios: bios(...card('virtio-net-pci')),
    uefi: uefi(...card('virtio-net-pci', quiet)),
    'uefi-i386': [
      ...['qemu-system-i386', '-machine', 'q35,smm=on', '-global', 'driver=cfi.pflash01,property=secure,value=on', '-m', '512', ...common],
      ...[...flash(firmware.i386Code), ...card('virtio-net-pci', quiet)],
    ],
    arm64: [
      ...['qemu-system-aarch64', '-machine', 'virt', '-cpu', 'cortex-a57', '-m', '512', ...common],
      ...[...flash(firmware.armCode), ...card('virtio-net-pci', quiet)],
    ],
    'bios-stick': bios(...own, '-device', 'ich9-usb-ehci1', ...stick('usb-storage,drive=stick,bootindex=0')),
    'uefi-stick': uefi(...own, '-device', 'qemu-xhci', ...stick('usb-storage,drive=stick,bootindex=0')),
    'bios-cd': bios(...own, '-cdrom', path, '-boot', 'd'),
    'uefi-cd': uefi(...own, '-cdrom', path),
    'bios-disk': bios(...own, ...drive('ide')),
    floppy: bios(...own, ...drive('floppy'), '-boot', 'a'),
    rom: bios(...card('e1000', `,romfile=${path}`)),
    kernel: bios(...own, '-kernel', path),
  }
  const [program = '', ...argv] = [...(wire?.launcher ?? []), ...words[way]]
  const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const watchers = new Set<() => void>()
  const take = (bytes: Buffer): void => {
    output += bytes.toString('latin1')
    for (const watch of watchers) watch()
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const text = (): string => output.replace(/\x1b\[[0-9;?=]*[A-Za-z]/g, '')
  const waitFor = (pattern: RegExp, timeoutMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        clearTimeout(timer)
        watchers.delete(look)
        if (error) reject(error)
        else resolve()
      }
      const look = (): void => {
        if (pattern.test(text())) end()
      }
      const timer = setTimeout(
        () => end(new Error(`${way}: no ${pattern} within ${timeoutMs} ms; the serial line says:\n${text().slice(-3000)}`)),
        timeoutMs,
      )
      watchers.add(look)
      look()
      void exited.then(() => end(pattern.test(text()) ? undefined : new Error(`${way}: QEMU ended; the serial line says:\n${text().slice(-3000)}`)))
    })
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  return { text, waitFor, stop }
}

export const hasArmFirmware = (): boolean => existsSync(firmware.armCode)

export type Answers = { readonly port: number; readonly requests: string[]; readonly stop: () => Promise<void> }

/** Answers every station's script by one that says UP and comes back once more; keeps what was asked for. */
export async function startAnswers(tls?: { key: string; cert: string; ca?: string; requestCert?: boolean }): Promise<Answers> {
  const requests: string[] = []
  const listener: RequestListener = (request, response) => {
    requests.push(request.url ?? '')
    const isScript = request.url?.startsWith('/boot/')
    const body = isScript
      ? `#!ipxe\necho STATION-UP \${platform}\nimgfetch http${tls ? 's' : ''}://10.0.2.2:${port}/up/\${platform}/\${buildarch} ||\npoweroff ||\n`
      : 'up'
    response.writeHead(200, { 'Content-Length': Buffer.byteLength(body) })
    response.end(body)
  }
  const server: Server = tls ? createTlsServer({ ...tls, minVersion: 'TLSv1.2' }, listener) : createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const port = (server.address() as AddressInfo).port
  return {
    port,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
