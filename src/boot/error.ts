// Errors by who must act. Every room throws these; each face maps them in one place (problem+json, exit code, TFTP ERROR, silence).

/** What all errors of ours share: a stable `code` for machines, a message for people. */
export abstract class BivouacError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = new.target.name
  }
}

/** The peer sent bytes or text that cannot be understood: drop and count. The only error that a codec throws. */
export class DecodeError extends BivouacError {}

/** Where in a file or request the operator's mistake stands. `line` counts from 1. */
export type Place = { file?: string; line?: number; path?: string }

/** The operator gave something that cannot be right. The message says what is allowed. */
export class InputError extends BivouacError {
  readonly place: Place
  constructor(code: string, message: string, place: Place = {}, options?: ErrorOptions) {
    super(code, formatPlace(place) + message, options)
    this.place = place
  }
}

/** What was asked for is not there. */
export class MissingError extends BivouacError {}

/** It is there, but held by something else or in another state: a port taken, a name in use. */
export class ConflictError extends BivouacError {}

/** An upstream or a tool outside failed. `mayRetry` says whether the same call may work later. */
export class OutsideError extends BivouacError {
  readonly mayRetry: boolean
  constructor(code: string, message: string, mayRetry: boolean, options?: ErrorOptions) {
    super(code, message, options)
    this.mayRetry = mayRetry
  }
}

function formatPlace({ file, line, path }: Place): string {
  const where = [file, line].filter((part) => part !== undefined).join(':')
  return [where, path]
    .filter(Boolean)
    .map((part) => `${part}: `)
    .join('')
}
