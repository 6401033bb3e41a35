// The fixture of PXE Pilot's own suite, made anew: four hosts, three boot loaders, eight configurations, and stand-ins for arp, fping and ipmitool.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type PilotFixture = {
  readonly folder: string
  readonly file: string
  readonly root: string
  readonly bin: string
  readonly remove: () => void
}

const loaders = { pxelinux: ['local', 'sheep'], syslinux: ['a', 'b', 'c'], grub: ['grml', 'z'] } as const

/** `flat`: configurations lie in one folder, as before 0.6.0. */
export function makePilotFixture({ port = 0, flat = false } = {}): PilotFixture {
  const folder = mkdtempSync(join(tmpdir(), 'bivouac-pilot-'))
  const [root, bin] = [join(folder, 'tftp'), join(folder, 'bin')]
  const directory = join(root, 'pxelinux.cfg/conf')
  for (const [loader, names] of Object.entries(loaders)) {
    const place = flat ? directory : join(directory, loader)
    mkdirSync(place, { recursive: true })
    for (const name of names) writeFileSync(join(place, name), `# ${name}\nDEFAULT ${name} <&>`)
  }
  const file = join(folder, 'pxe-pilot.yml')
  writeFileSync(file, pilotYaml(root, directory, port, flat))
  mkdirSync(bin)
  layTools(folder, bin)
  return { folder, file, root, bin, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const pilotYaml = (root: string, directory: string, port: number, flat: boolean): string => `---
hosts:
  - name: h1
    mac_addresses: ["00:00:00:00:00:01"]
    ipmi:
      mac_address: "00:00:00:00:00:A1"
      username: user
      password: pass word
      interface: lanplus
      subnet: 10.69.70.0/24
  - name: h2
    mac_addresses: ["00:00:00:00:00:02"]
    management:
      mac_address: "00:00:00:00:00:a2"
      adapter: mock
      subnet: 10.69.70.0/24
      vars:
        - { name: user, value: admin }
        - { name: password, value: s3cret }
  - name: h3
    mac_addresses: ["00-00-00-00-00-31", "00:00:00:00:00:32", "00:00:00:00:00:33"]
  - name: h4
    mac_addresses: ["00:00:00:00:00:04"]
    management: { mac_address: "00:00:00:00:00:a4", adapter: mock, subnet: 10.69.70.0/24, vars: [{ name: user, value: admin }, { name: password, value: s3cret }] }
tftp:
  root: ${root}
configuration:
  directory: ${directory}
${
  flat
    ? ''
    : `  bootloaders:
    - { name: pxelinux, file: pxelinux.0, config_path: pxelinux.cfg }
    - { name: syslinux, file: syslinux.efi, config_path: pxelinux.cfg }
    - { name: grub, file: grubx64.efi, config_path: grub/grub.cfg }
`
}server:
  port: ${port}
host_management_adapters:
  - name: mock
    vars:
      - { name: login, value: "{{.user}}:{{.password}}" }
    power_status: { cmd: "bmc {{.ip_address}} {{.login}} status", pattern_on: " is on", pattern_off: " is off" }
    power_on: { cmd: "bmc {{.ip_address}} {{.login}} on" }
    power_off: { cmd: "bmc {{.ip_address}} {{.login}} off" }
    power_reset: { cmd: "bmc {{.ip_address}} {{.login}} reset" }
unknown_key: is ignored
`

/** arp knows nobody until fping has asked; each address has a file with its power. */
function layTools(folder: string, bin: string): void {
  const machine = (address: string, verb: string) => `address=${address} verb=${verb}
state=${folder}/power-$address
case $address in 10.69.70.1[1-4]) ;; *) echo "no such machine" >&2; exit 1 ;; esac
case $verb in
status) echo "Chassis Power is $(cat $state 2>/dev/null || echo off)" ;;
on | reset) echo on >$state ;;
off) echo off >$state ;;
esac
`
  const tools: Record<string, string> = {
    arp: `[ -e ${folder}/populated ] || exit 0
for n in 1 2 3 4; do echo "? (10.69.70.1$n) at 0:0:0:0:0:a$n [ether] on eth0"; done
`,
    fping: `echo "$*" >>${folder}/sweeps
touch ${folder}/populated
exit 1
`,
    ipmitool: `echo "$*" >>${folder}/ipmi-calls
[ "$IPMI_PASSWORD" = "pass word" ] || { echo "wrong password" >&2; exit 1; }
while [ $# -gt 3 ]; do [ "$1" = -H ] && host=$2; shift; done
${machine('$host', '$3')}`,
    bmc: `[ "$2" = admin:s3cret ] || exit 1
${machine('$1', '$3')}`,
  }
  for (const [name, text] of Object.entries(tools)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}`)
    chmodSync(join(bin, name), 0o755)
  }
}
