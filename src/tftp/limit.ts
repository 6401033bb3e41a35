// How much of everything one TFTP server may use. Called by server.ts; the numbers are the operator's (config.ts), the defaults ours.

export type TftpLimits = {
  /** Largest block that is agreed to. 1468 + 4 + 8 + 20 fill an Ethernet frame; more makes fragments, which ROMs cannot put together. */
  readonly blksizeMax: number
  /** Largest window in blocks (RFC 7440). 64 × 1468 bytes fit the receive buffers that firmware has been seen with. */
  readonly windowsizeMax: number
  readonly sessionsMax: number
  readonly sessionsPerAddressMax: number
  /** Bytes of prepared packets, shared by all transfers. */
  readonly tableBytesMax: number
  /** Bytes of read-ahead for files that are not prepared, all transfers together; each gets its part, at least one window. */
  readonly readAheadBytesMax: number
}

export const defaultLimits: TftpLimits = {
  blksizeMax: 1468,
  windowsizeMax: 64,
  sessionsMax: 4096,
  sessionsPerAddressMax: 32,
  tableBytesMax: 32 * 1024 * 1024,
  readAheadBytesMax: 64 * 1024 * 1024,
}
