// What a relay says in option 82 (RFC 3046) that changes an answer. The option itself is echoed raw; nothing here is stored.
import { DecodeError } from '../boot/error.ts'
import { decodeOptions, type Option, type Options, option, readOption } from './option.ts'

/** Sub-options of option 82. */
const relayOption = {
  /** RFC 3527: the subnet of the client, where giaddr is another side of the relay. */
  linkSelection: { code: 5, shape: 'ipv4' },
  /** RFC 5107: the address that clients are to take for the server's, so that renewals pass the relay. */
  serverIdOverride: { code: 11, shape: 'ipv4' },
} as const satisfies Record<string, Option>

export type RelayWishes = { readonly linkSelection?: number; readonly serverIdOverride?: number }

const none: RelayWishes = {}

/** The relay's wishes; an option 82 that cannot be read asks for nothing. */
export function readRelayWishes(options: Options): RelayWishes {
  const bytes = options.get(option.relayAgent.code)
  if (!bytes) return none
  const inner: Options = new Map()
  try {
    decodeOptions(bytes, 0, bytes.length, inner)
  } catch (error) {
    if (error instanceof DecodeError) return none
    throw error
  }
  const linkSelection = readOption(inner, relayOption.linkSelection)
  const serverIdOverride = readOption(inner, relayOption.serverIdOverride)
  return { ...(linkSelection && { linkSelection }), ...(serverIdOverride && { serverIdOverride }) }
}
