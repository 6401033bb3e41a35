// The single values that records, the configuration and the API share: addresses, names, paths, words. One zod schema each. Pure.
import { z } from 'zod'
import { formatSubnet, type Ipv4, type Mac, parseIpv4, parseMac, parseSubnet } from './address.ts'

/** Turns a parser that throws into a zod step with the parser's own message. */
function parsed<T>(parse: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return parse(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message })
      return z.NEVER
    }
  })
}

export const macSchema = parsed<Mac>(parseMac)
export const ipv4Schema = parsed<Ipv4>(parseIpv4)
/** `10.9.0.0/24`, as text in its usual form. */
export const subnetSchema = parsed((text) => formatSubnet(parseSubnet(text)))

/** Names of stations, groups, profiles, networks: they become parts of paths and URLs. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/i, 'a name is letters, digits, dot, dash and underscore, at most 63, and begins with a letter or digit')

/** A path below the depot: no leading slash, no `..`, no empty part. */
export const depotPathSchema = z
  .string()
  .regex(/^(?!.*(^|\/)\.\.?(\/|$))[A-Za-z0-9_.+@-]+(\/[A-Za-z0-9_.+@-]+)*$/, 'a path below the depot, without a leading slash, "." or ".."')

/** One word of a kernel line. Alpine's firstboot evaluates the line as root in a shell, so the set is narrow (facts: OpenRC firstboot). */
export const kernelWordSchema = z
  .string()
  .regex(/^[A-Za-z0-9._~:/?=%@,+{}-]+$/, 'a kernel argument may hold only letters, digits and . _ ~ : / ? = % @ , + { } -')

/** Where packages come from. */
export const urlOrPathSchema = z
  .string()
  .regex(
    /^(https?:\/\/[A-Za-z0-9._~:/%@,+-]+|(?!(.*\/)?\.\.?(\/|$))[A-Za-z0-9_.+@-]+(\/[A-Za-z0-9_.+@-]+)*\/?)$/,
    'an http(s) URL, or a path below the depot',
  )

/** `uuid` as printed by iPXE and dmidecode: lower case with dashes. */
export const uuidSchema = z
  .string()
  .toLowerCase()
  .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'a UUID such as b8945908-d6a6-41a9-8ff4-0123456789ab')
