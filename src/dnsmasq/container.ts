// dnsmasq in a container with an address of its own on an Open vSwitch bridge: the steps, in order, and how each is undone. Used by `dnsmasq container`. Runs nothing.
import { broadcastAddress, contains, numberToIpv4, parseIpv4, parseSubnet } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'

/** What the operator asks for. Addresses are dotted IPv4, `subnet` is a CIDR, `workdir` an absolute path that holds tftpboot, conf and images. */
export type ContainerAsk = {
  readonly bridge: string
  readonly portName: string
  readonly tag?: number
  readonly parent: string
  readonly subnet: string
  readonly gateway: string
  readonly address: string
  readonly image: string
  readonly workdir: string
  readonly engine: 'docker' | 'podman'
  readonly name: string
}

/** One command. `probes` end with 0 when what it makes is there already. All are lists of arguments, never a shell's line. */
export type ContainerStep = {
  readonly title: string
  readonly argv: readonly string[]
  readonly undo: readonly string[]
  readonly probes: readonly (readonly string[])[]
}

/** The steps of document 003, in order, with its slip corrected: the port is `type=internal`. Throws InputError for what cannot be right. */
export function planContainer(ask: ContainerAsk): ContainerStep[] {
  checkNames(ask)
  checkAddresses(ask)
  return [...planPort(ask), planNetwork(ask), planRun(ask)]
}

function planPort({ bridge, portName, tag }: ContainerAsk): ContainerStep[] {
  const tagged = tag === undefined ? [] : [`tag=${tag}`]
  return [
    {
      title: `port ${portName} on bridge ${bridge}`,
      argv: ['ovs-vsctl', 'add-port', bridge, portName, ...tagged, '--', 'set', 'interface', portName, 'type=internal'],
      undo: ['ovs-vsctl', '--if-exists', 'del-port', bridge, portName],
      probes: [
        ['ovs-vsctl', 'port-to-br', portName],
        ['ip', 'link', 'show', 'dev', portName],
      ],
    },
    { title: `link ${portName} up`, argv: ['ip', 'link', 'set', portName, 'up'], undo: ['ip', 'link', 'set', portName, 'down'], probes: [] },
  ]
}

function planNetwork({ engine, name, parent, subnet, gateway }: ContainerAsk): ContainerStep {
  const where = [`--subnet=${subnet}`, `--gateway=${gateway}`, '-o', `parent=${parent}`]
  return {
    title: `macvlan network ${name}`,
    argv: [engine, 'network', 'create', '-d', 'macvlan', ...where, name],
    undo: [engine, 'network', 'rm', name],
    probes: [[engine, 'network', 'inspect', name]],
  }
}

/** Lore: `--mount` refuses a source that is not there, where `-v` would make an empty folder of it. */
function planRun({ engine, name, address, image, workdir }: ContainerAsk): ContainerStep {
  const mounts = [
    ['tftpboot', '/tftpboot'],
    ['conf', '/conf'],
    ['images/vmlinuz-4', '/tftpboot/vmlinuz-4'],
    ['images/initrd.gz', '/tftpboot/initrd.gz'],
  ].flatMap(([source, target]) => ['--mount', `type=bind,source=${workdir}/${source},target=${target}`])
  return {
    title: `container ${name} at ${address}`,
    argv: [engine, 'run', '--detach', '--rm', `--net=${name}`, `--name=${name}`, `--ip=${address}`, ...mounts, '--privileged', image],
    undo: [engine, 'rm', '--force', name],
    probes: [[engine, 'container', 'inspect', name]],
  }
}

const refuse = (option: string, why: string): never => {
  throw new InputError('container-option', `--${option}: ${why}`)
}

function checkNames({ bridge, portName, parent, name, tag, image, workdir }: ContainerAsk): void {
  for (const [option, value] of Object.entries({ bridge, 'port-name': portName, parent }))
    if (!/^[A-Za-z0-9_][\w.-]{0,14}$/.test(value)) refuse(option, `${value} is not an interface's name (1 to 15 of letters, digits, . _ -)`)
  if (!/^[A-Za-z0-9][\w.-]{0,62}$/.test(name)) refuse('name', `${name} is not a container's name`)
  if (!/^[A-Za-z0-9][\w./:@-]*$/.test(image)) refuse('image', `${image} is not an image's name`)
  if (!/^\/[^,"\n]*$/.test(workdir)) refuse('workdir', `${workdir} must be an absolute path without comma, quote or line end`)
  if (tag !== undefined && !(Number.isInteger(tag) && tag >= 1 && tag <= 4094)) refuse('tag', 'a VLAN is a number from 1 to 4094')
}

function checkAddresses({ subnet, gateway, address }: ContainerAsk): void {
  const net = read('subnet', () => parseSubnet(subnet))
  for (const [option, text] of Object.entries({ gateway, address })) {
    const one = read(option, () => parseIpv4(text))
    if (!contains(net, one)) refuse(option, `${text} is not in ${subnet}`)
    if (text === numberToIpv4(net.network) || text === broadcastAddress(net))
      refuse(option, `${text} is nobody's: first or last address of ${subnet}`)
  }
  if (gateway === address) refuse('address', `${address} is the gateway's`)
}

function read<T>(option: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    return refuse(option, (error as Error).message)
  }
}
