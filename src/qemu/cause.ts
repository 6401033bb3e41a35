// Why a virtual station did not come up, in words: from its events and its serial line. Pure; used by session.
import type { BootEvent, BootStep } from '../boot/event.ts'
import { type Boot, findSkipped, splitBoots } from '../boot/progress.ts'

const hints: Partial<Record<BootStep, string>> = {
  discover: 'the firmware asked for no address: has the machine a network card that its firmware can boot from?',
  offer: 'the station asked for an address and got none: see the events for the reason',
  loader: 'the station was offered a loader and did not fetch it',
  script: 'the loader ran and did not come for its script: see its last messages on the serial line',
  kernel: 'the script went out and the kernel was not fetched: does the script boot anything for this station ("bivouac explain")?',
  initramfs: 'the kernel went out and the initramfs was not fetched',
  overlay: 'the station runs and did not fetch its overlay: the kernel may have failed, or its network card has no driver in the initramfs',
  modloop: 'the station runs and did not fetch its modloop',
  up: 'the station fetched everything and did not report that it is up',
}

/** One or two sentences for people. */
export function explainFailure(events: readonly BootEvent[], serial: string): string {
  const open = /BVC open-station (.*)/.exec(serial)?.[1]
  if (open) return `the station would have come up open, without its overlay: ${open.trim()}`
  if (/Kernel panic/.test(serial)) return `the kernel gave up: ${/Kernel panic[^\n]*/.exec(serial)?.[0] ?? ''}`
  const boot = splitBoots(events).at(-1)
  if (!boot) return serial.trim() ? (hints.discover as string) : 'the machine printed nothing at all: QEMU or its firmware does not run here'
  return explainBoot(boot)
}

function explainBoot(boot: Boot): string {
  const missing = findSkipped(boot) ?? firstDue(boot)
  const trouble = boot.trouble.at(-1)
  const told = trouble ? ` (${trouble.kind}${trouble.detail?.reason ? `: ${trouble.detail.reason}` : ''})` : ''
  const script = boot.seen.get('script')
  if (script?.detail?.boots === false) {
    return `its script boots nothing (profile ${script.detail.profile})${told}: "bivouac explain ${script.mac}" tells why`
  }
  if (!missing) return `nothing more was due${told}`
  return `${hints[missing] ?? `the step ${missing} did not come`}${told}`
}

// The loader is not due by itself, since an iPXE in flash needs none: before the script it is the likelier hole.
function firstDue({ due, seen }: Boot): BootStep | undefined {
  if (due[0] !== 'script' || seen.has('loader')) return due[0]
  return seen.has('offer') || seen.has('ack') ? 'loader' : seen.has('discover') ? 'offer' : due[0]
}
