// Answer files of kind linux (preseed, kickstart, autoinstall): a template of the operator's, rendered for one station. Used by the door and view.
// What is missing in it is an error, never an empty word: an installer does what stands there.
import { InputError } from '../boot/error.ts'
import type { ScriptAsk } from './ask.ts'
import { markerFinder, upUrl, variablesOf } from './linux.ts'
import type { GatePlan } from './plan.ts'
import type { Scripts } from './script.ts'
import { literal, type Printed, url, word } from './text.ts'

/** The text of the plan's answer file of that name; undefined when it has none. Throws InputError for what the template lacks. */
export function renderAnswer(name: string, plan: GatePlan, ask: ScriptAsk, scripts: Scripts): string | undefined {
  const { profile, station } = plan
  const template = profile.kind === 'linux' && Object.hasOwn(profile.answers, name) ? profile.answers[name] : undefined
  if (template === undefined) return undefined
  const find = markerFinder(plan, ask)
  const up = upUrl(ask)
  return scripts.render(template, {
    base: url(ask.httpBase),
    server: find('server', undefined),
    mac: ask.mac,
    ...(up !== undefined && { up: url(up) }),
    profile: profile.name,
    station: station?.name,
    hostname: station?.hostname ?? station?.name,
    group: station?.group,
    address: station?.address,
    variables: variablesOf(plan),
    labels: station?.labels ?? {},
    /** Another file of the profile, or of the depot, as its URL. */
    answer: (other: string) => url(find('answer', other) ?? noSuch(`answers.${other}`)),
    file: (path: string) => url(find('file', path) ?? noSuch(path)),
    text,
    word,
    url,
  })
}

/** Renders all of a plan's answer files, to no use but to find mistakes before an installer starts. Throws InputError. */
export function checkAnswers(plan: GatePlan, ask: ScriptAsk, scripts: Scripts): void {
  if (plan.profile.kind === 'linux') for (const name of Object.keys(plan.profile.answers)) renderAnswer(name, plan, ask, scripts)
}

/** One line of any printable text: for templates whose values may hold blanks, `$` and quotes. */
function text(value: unknown): Printed {
  const told = typeof value === 'boolean' || typeof value === 'number' ? String(value) : value
  if (typeof told === 'string' && !/[\p{Cc}\u2028\u2029]/u.test(told)) return literal(told)
  throw new InputError('answer-value', told === undefined ? 'there is no such value' : 'a value must be one line of text')
}

function noSuch(name: string): never {
  throw new InputError('answer-value', `there is no ${String(name).slice(0, 80)}`)
}
