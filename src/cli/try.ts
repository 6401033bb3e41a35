// `bivouac try`: boots a virtual station in QEMU and shows each step until it is up. Needs no root and touches no network of the host.
import { join, resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Config } from '../config.ts'
import type { MachineFirmware } from '../qemu/machine.ts'
import { runTry, tryMac, type TryOptions, type TryResult } from '../qemu/lab.ts'
import { createLocalGate } from '../server/local.ts'
import type { ApiClient } from './client.ts'
import type { Context } from './context.ts'
import { exitCodes, say, sayJson, warn } from './output.ts'

type Options = { firmware: MachineFirmware; road: TryOptions['road']; timeout: number; serial?: boolean; keepSerial?: string; kvm?: boolean }

export function addTryCommand(program: Command, context: () => Context): void {
  program
    .command('try')
    .description('boot a virtual station in QEMU from this depot, without root, and show each step until it is up')
    .addOption(new Option('--firmware <kind>', 'what the virtual station is').choices(['bios', 'uefi', 'uefi-http']).default('bios'))
    .addOption(
      new Option(
        '--road <road>',
        'whole: a server of its own with DHCP, TFTP and HTTP in a private network; http: from the script on, QEMU gives the address',
      )
        .choices(['auto', 'whole', 'http'])
        .default('auto'),
    )
    .option('--timeout <seconds>', 'give up after so long', parseSeconds, 180)
    .option('--serial', "show the station's serial console too")
    .option('--keep-serial <file>', "write the station's serial console to a file")
    .option('--kvm', 'use KVM (where it runs firmware; the default, emulation, runs everywhere)')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac try\n  bivouac try --firmware uefi --serial\n  bivouac try --road http      what works where user namespaces are forbidden',
    )
    .action((options: Options) => tryOut(context(), options))
}

function parseSeconds(text: string): number {
  if (!/^[1-9][0-9]{0,4}$/.test(text)) throw new InvalidArgumentError('seconds, such as 180')
  return Number(text)
}

async function tryOut(context: Context, options: Options): Promise<void> {
  const { config } = context.load()
  const { site } = config
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const isRunning = options.road !== 'whole' && (await answers(context.api()))
  const result = await runTry({
    depot: config.depot,
    isServed: await isServed(config),
    settings: { default: site.defaultProfile, unknown: site.unknown, withoutOverlay: site.withoutOverlay, overlays: config.overlays },
    stateFolder: config.state,
    firmware: options.firmware,
    road: options.road,
    serverCommand: [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'main.ts'), 'serve', '--quiet'],
    ...(isRunning && { httpPort: config.http.port }),
    timeoutMs: options.timeout * 1000,
    ...(options.kvm && { accel: 'kvm' }),
    onStep: (line) => (context.json ? warn(line) : say(line)),
    ...(options.serial && { onSerial: (line: string) => (context.json ? warn(`| ${line}`) : say(`| ${line}`)) }),
    ...(options.keepSerial && { keepSerial: resolve(options.keepSerial) }),
    signal: stop.signal,
  })
  report(context, result)
}

/** Would the virtual station get a system of the depot's? Its record and its layers decide, as for real ones. */
async function isServed(config: Config): Promise<boolean> {
  const { gate, close } = await createLocalGate(config)
  try {
    const { script } = await gate.explain(tryMac)
    return script.kind === 'alpine' && script.boots
  } finally {
    close()
  }
}

/** Does a server of ours answer on the configured port? */
async function answers(api: ApiClient): Promise<boolean> {
  try {
    await api.get('/healthz')
    return true
  } catch {
    return false
  }
}

function report(context: Context, result: TryResult): void {
  if (!result.isUp) process.exitCode = exitCodes.failed
  if (context.json) return sayJson(result)
  const seconds = (result.tookMs / 1000).toFixed(1)
  if (result.isUp) return say(`The station is up after ${seconds} s.`)
  warn(`The station did not come up in ${seconds} s: ${result.cause ?? 'no cause was found'}`)
  if (result.serialTail) warn(`The end of its serial console:\n${result.serialTail.replace(/^/gm, '| ')}`)
}
