// One request on its way through the door: who asks for what, what it becomes, and which step of a boot that is. Types only.
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Facts } from '../boot/client.ts'
import type { Content } from '../boot/content.ts'
import type { BootEvent, EventKind } from '../boot/event.ts'

/** `name` is decoded and without a query. `range`: only a part is wanted, so a part that ends well counts as the whole. */
export type DoorRequest = {
  readonly name: string
  readonly peer: string
  readonly via: 'tftp' | 'http'
  readonly httpBase: string
  readonly facts?: Facts
  readonly range?: boolean
  /** The head alone is wanted: nothing is delivered. */
  readonly head?: boolean
}

/** `done` makes the event of the step; to be called when the last byte is out, with the number of bytes sent. */
export type Opened = {
  readonly content: Content
  readonly done: (sentBytes: number) => void
  /** Of what is given once: no parts and no conditions, the whole or nothing; and either `done` or this is to be called. */
  readonly cut?: () => void
}

/** One request on its way: who it is, and what came in front of the name. */
export type Visit = {
  readonly request: DoorRequest
  readonly facts: Facts
  readonly mac: Mac | undefined
  readonly ip: Ipv4 | undefined
  readonly peer: string
  readonly ticket: string | undefined
  readonly startedAt: number
}

/** What the event of a request says when it is out. */
export type Step = { readonly kind: EventKind; readonly mac?: Mac | undefined; readonly detail?: NonNullable<BootEvent['detail']> }
