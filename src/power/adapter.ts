// What every way of switching a machine can do. Used by the API, by PXE Pilot's interface and by the command line.
export const powerStates = ['on', 'off', 'unknown'] as const
export type PowerState = (typeof powerStates)[number]
export const powerActions = ['on', 'off', 'cycle'] as const
export type PowerAction = (typeof powerActions)[number]
/** What the machine is to boot from next, once. */
export type BootDevice = 'network' | 'disk'

/** A machine's switch. All of them throw OutsideError (`power-…`) with what the controller said, never with a secret. */
export type PowerSwitch = {
  readonly status: (signal?: AbortSignal) => Promise<PowerState>
  readonly act: (action: PowerAction, signal?: AbortSignal) => Promise<void>
  /** Absent where the way knows no such thing (Wake-on-LAN). */
  readonly bootFrom?: (device: BootDevice, signal?: AbortSignal) => Promise<void>
}
