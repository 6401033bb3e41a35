// A boot as the owner's document tells it, in ten steps: which were seen, when, by what, and which is missing. Used by trace. Pure.
import type { BootEvent, BootStep } from './event.ts'
import type { Boot } from './progress.ts'

/**
 * `seen`: by an event of its own. `implied`: a later step was seen, so it was taken. `missing`: a later step was seen, and it should have come.
 * `due`: it comes next. `open`: not yet.
 */
export type StepState = 'seen' | 'implied' | 'missing' | 'due' | 'open'

export type SequenceStep = {
  readonly number: number
  readonly name: string
  readonly state: StepState
  /** Milliseconds since 1970, of the first of `events`. */
  readonly at?: number
  readonly events: readonly BootEvent[]
  /** Which of ours are still to come in this step. */
  readonly lacks: readonly BootStep[]
}

/** The document's steps, and by which of our events each is seen. The first is seen by nothing but the next. */
const steps: readonly (readonly [name: string, kinds: readonly BootStep[]])[] = [
  ['power on', []],
  ['DHCP search', ['discover']],
  ['address and boot data', ['offer', 'request', 'ack']],
  ['loader', ['loader']],
  ['script', ['script']],
  ['kernel, initramfs', ['kernel', 'initramfs']],
  ['kernel runs', []],
  ['system', []],
  ['own configuration', ['overlay']],
  ['packages, services', ['index', 'package', 'modloop', 'ssh-keys', 'up']],
]

/** The ten steps of one boot. */
export function describeSequence(boot: Boot): SequenceStep[] {
  const lastSeen = steps.findLastIndex(([, kinds]) => kinds.some((kind) => boot.seen.has(kind)))
  const found = steps.map(([name, kinds], index): SequenceStep => {
    const events = kinds.flatMap((kind) => boot.seen.get(kind) ?? []).sort((one, other) => one.at - other.at)
    const lacks = boot.due.filter((kind) => kinds.includes(kind))
    const state = events.length && !(lacks.length && index < lastSeen) ? 'seen' : index < lastSeen ? (lacks.length ? 'missing' : 'implied') : 'open'
    return { number: index + 1, name, state, ...(events[0] && { at: events[0].at }), events, lacks }
  })
  const next = found.find(({ state, lacks }, index) => index >= lastSeen && lacks.length > 0 && state !== 'missing')
  return found.map((step) => (step === next && step.state === 'open' ? { ...step, state: 'due' } : step))
}
