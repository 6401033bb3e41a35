// `bivouac dnsmasq container`: dnsmasq in a container on an Open vSwitch bridge, told by default, made with --apply.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { type ContainerAsk, type ContainerStep, planContainer } from '../dnsmasq/container.ts'
import { applyContainer, type ContainerReport, checkContainer, runProgram } from '../dnsmasq/container-run.ts'
import type { Context } from './context.ts'
import { exitCodes, say, sayJson, warn } from './output.ts'

type Options = Omit<ContainerAsk, 'parent' | 'tag'> & {
  readonly parent?: string
  readonly tag?: string
  readonly apply?: boolean
  readonly dryRun?: boolean
}

/** Failed, and not all could be undone. */
const rollbackIncomplete = 6

const help = `
Examples:
  bivouac dnsmasq container --bridge backplane1 --tag 2311 --subnet 192.168.0.0/24 --gateway 192.168.0.1 --address 192.168.0.240
  bivouac dnsmasq container --bridge backplane1 --subnet 192.168.0.0/24 --gateway 192.168.0.1 --address 192.168.0.240 --apply

Without --apply it is a dry run. Exit codes of --apply: 5 a step failed and the others are undone, 6 not all could be undone.`

/** Adds it below `bivouac dnsmasq`. */
export function addContainerCommand(dnsmasq: Command, context: () => Context): void {
  dnsmasq
    .command('container')
    .description('an Open vSwitch port, a macvlan network and dnsmasq’s container on it: tells the steps; --apply makes them')
    .requiredOption('--bridge <name>', 'the Open vSwitch bridge')
    .option('--port-name <name>', 'the port to add to it', 'pxeboot')
    .option('--tag <vlan>', 'the port’s VLAN (default: none)')
    .option('--parent <interface>', 'the macvlan’s parent (default: the port)')
    .requiredOption('--subnet <cidr>', 'of the network')
    .requiredOption('--gateway <address>', 'of the network')
    .requiredOption('--address <address>', 'the container’s own')
    .option('--image <image>', 'what it runs', 'jumpscale/pxeboot')
    .option('--workdir <folder>', 'holds tftpboot, conf and images', 'PXEDOCK')
    .addOption(new Option('--engine <engine>', 'who runs it').choices(['docker', 'podman']).default('docker'))
    .option('--name <name>', 'of the network and the container', 'pxeboot')
    .option('--apply', 'check, then make it; a failing step undoes the done ones')
    .option('-n, --dry-run', 'tell the steps only (the default; wins over --apply)')
    .addHelpText('after', help)
    .action((options: Options) => container(context(), options))
}

async function container({ json }: Context, { apply = false, dryRun = false, tag, parent, ...rest }: Options): Promise<void> {
  const ask: ContainerAsk = {
    ...rest,
    parent: parent ?? rest.portName,
    workdir: resolve(rest.workdir),
    ...(tag !== undefined && { tag: Number(tag) }),
  }
  const steps = planContainer(ask)
  if (!apply || dryRun) return tellPlan(steps, json)
  await checkContainer(ask, steps, runProgram)
  tellReport(await applyContainer(steps, runProgram), json)
}

/** As one could type it. */
const line = (argv: readonly string[]): string =>
  argv.map((word) => (/^[\w./:=,@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ')

function tellPlan(steps: readonly ContainerStep[], json: boolean): void {
  if (json) return sayJson({ dryRun: true, steps: steps.map(({ title, argv, undo }) => ({ title, argv, undo })) })
  for (const [at, { title, argv, undo }] of steps.entries()) say(`${at + 1}. ${title}\n   ${line(argv)}\n   undo: ${line(undo)}`)
  say('dry run: nothing is changed; --apply would make it')
}

function tellReport(report: ContainerReport, json: boolean): void {
  if (report.result !== 'done') process.exitCode = report.result === 'rolled-back' ? exitCodes.failed : rollbackIncomplete
  if (json) return sayJson({ dryRun: false, ...report })
  for (const title of report.done) say(`done: ${title}`)
  if (report.failed) warn(`failed: ${report.failed.title}: ${report.failed.reason}`)
  for (const title of report.undone) say(`undone: ${title}`)
  for (const { title, reason, undo } of report.left) warn(`not undone: ${title}: ${reason}; by hand: ${line(undo)}`)
  if (report.failed) warn(report.left.length ? 'rollback incomplete' : 'rolled back')
}
