// Work on many machines, so many at a time: a list of a hundred dead controllers must not hold up the living. Used by http/power and PXE Pilot's service.

/** The answers in the order of the entries, `parallel` of them worked on at a time. Rejects with the first failure. */
export async function mapBounded<T, R>(entries: readonly T[], parallel: number, work: (entry: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = []
  let at = 0
  const worker = async (): Promise<void> => {
    for (let index = at++; index < entries.length; index = at++) answers[index] = await work(entries[index] as T)
  }
  await Promise.all(Array.from({ length: Math.min(parallel, entries.length) }, worker))
  return answers
}
