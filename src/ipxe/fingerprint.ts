// The identity of an artifact: the hash of everything that goes into it. Same inputs, same name, never built twice.
import { createHash } from 'node:crypto'

export type Fingerprint = string

/** JSON with sorted keys: the same value gives the same text. Undefined members are left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}

/** SHA-256 as 64 hex digits. */
export const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** 64 hex digits over any plain value. */
export const fingerprintOf = (value: unknown): Fingerprint => sha256(canonicalJson(value))

/** The 32-bit build id of a binary (two ROMs in one machine must differ), as `0x…`. Never zero. */
export const buildIdOf = (fingerprint: Fingerprint): string => `0x${fingerprint.slice(0, 8) === '00000000' ? '00000001' : fingerprint.slice(0, 8)}`
