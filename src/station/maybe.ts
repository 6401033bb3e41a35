// Values that may have to be waited for: what is in memory comes at once, because every promise costs a turn of the loop.

export type Maybe<T> = T | Promise<T>

/** `next` with the value: at once if it is there, else when it comes. */
export function onward<T, U>(value: Maybe<T>, next: (value: T) => Maybe<U>): Maybe<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** What `run` answers, or what `rescue` makes of its error, thrown or rejected. */
export function orElse<T>(run: () => Maybe<T>, rescue: (error: unknown) => Maybe<T>): Maybe<T> {
  try {
    const value = run()
    return value instanceof Promise ? value.catch(rescue) : value
  } catch (error) {
    return rescue(error)
  }
}
