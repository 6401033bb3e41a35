// The difference of two texts as people read it: a unified diff. Bounded in lines; pure. Used by diff.

const contextLines = 3
/** Pairs of lines that may still be compared, in all texts that share it; beyond them texts count as wholly different. */
export type Pairs = { left: number }
/** As many as are compared in a twentieth of a second. */
export const startPairs = (): Pairs => ({ left: 4_000_000 })

type Step = { readonly sign: ' ' | '-' | '+'; readonly line: string }

/** Hunks of a unified diff, without the two head lines; empty when the texts are equal. */
export function diffTexts(before: string, after: string, pairs = startPairs()): string {
  return formatHunks(compareLines(linesOf(before), linesOf(after), pairs))
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'))

/** Keeps the longest common run of lines in order (dynamic programming on what is left between equal ends). */
function compareLines(before: readonly string[], after: readonly string[], pairs: Pairs): Step[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start++
  let [beforeEnd, afterEnd] = [before.length, after.length]
  while (beforeEnd > start && afterEnd > start && before[beforeEnd - 1] === after[afterEnd - 1]) {
    beforeEnd--
    afterEnd--
  }
  const same = (lines: readonly string[]): Step[] => lines.map((line) => ({ sign: ' ', line }))
  const middle = align(before.slice(start, beforeEnd), after.slice(start, afterEnd), pairs)
  return [...same(before.slice(0, start)), ...middle, ...same(before.slice(beforeEnd))]
}

function align(before: readonly string[], after: readonly string[], pairs: Pairs): Step[] {
  const width = after.length + 1
  pairs.left -= before.length * width
  if (pairs.left < 0) return [...before.map((line) => ({ sign: '-' as const, line })), ...after.map((line) => ({ sign: '+' as const, line }))]
  const best = new Uint32Array((before.length + 1) * width)
  for (let at = before.length - 1; at >= 0; at--)
    for (let to = after.length - 1; to >= 0; to--) {
      const isSame = before[at] === after[to]
      const [down, right] = [best[(at + 1) * width + to] as number, best[at * width + to + 1] as number]
      best[at * width + to] = isSame ? (best[(at + 1) * width + to + 1] as number) + 1 : Math.max(down, right)
    }
  return walk(before, after, best, width)
}

function walk(before: readonly string[], after: readonly string[], best: Uint32Array, width: number): Step[] {
  const steps: Step[] = []
  let [at, to] = [0, 0]
  while (at < before.length || to < after.length) {
    const isSame = at < before.length && to < after.length && before[at] === after[to]
    if (isSame) {
      steps.push({ sign: ' ', line: before[at++] as string })
      to++
    } else if (to >= after.length || (at < before.length && (best[(at + 1) * width + to] as number) >= (best[at * width + to + 1] as number)))
      steps.push({ sign: '-', line: before[at++] as string })
    else steps.push({ sign: '+', line: after[to++] as string })
  }
  return steps
}

/** Changes with the lines around them; those that are near share a hunk. */
function formatHunks(steps: readonly Step[]): string {
  const changed = steps.flatMap(({ sign }, index) => (sign === ' ' ? [] : index))
  const ranges: { from: number; to: number }[] = []
  for (const index of changed) {
    const last = ranges.at(-1)
    if (last && index - last.to <= contextLines * 2) last.to = index
    else ranges.push({ from: index, to: index })
  }
  return ranges.map(({ from, to }) => formatHunk(steps, Math.max(0, from - contextLines), Math.min(steps.length, to + contextLines + 1))).join('')
}

function formatHunk(steps: readonly Step[], from: number, to: number): string {
  const count = (part: readonly Step[], sign: '-' | '+'): number => part.filter((step) => step.sign === ' ' || step.sign === sign).length
  const [above, inside] = [steps.slice(0, from), steps.slice(from, to)]
  const range = (sign: '-' | '+'): string => {
    const length = count(inside, sign)
    return `${sign}${count(above, sign) + (length ? 1 : 0)},${length}`
  }
  return `@@ ${range('-')} ${range('+')} @@\n${inside.map(({ sign, line }) => `${sign}${line}\n`).join('')}`
}
