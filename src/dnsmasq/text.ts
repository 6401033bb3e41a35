// Lines as dnsmasq reads them: comments, quotes and commas. Used by the readers of dhcphosts, hosts and dnsmasq.conf.
// Reads no file; keeps every byte of a text, so that what nobody edited is written back as it was.

/** One line of a file. `number` counts from 1; `end` is `\n`, `\r\n`, or empty at the end of the file. */
export type TextLine = { readonly number: number; readonly text: string; readonly end: string }

/** Every line of the text; joined again they are the text. */
export function splitLines(text: string): TextLine[] {
  const found = text.match(/[^\n]*\n|[^\n]+$/g) ?? []
  return found.map((whole, index) => {
    const end = /\r?\n$/.exec(whole)?.[0] ?? ''
    return { number: index + 1, text: whole.slice(0, whole.length - end.length), end }
  })
}

export const joinLines = (lines: readonly Pick<TextLine, 'text' | 'end'>[]): string => lines.map(({ text, end }) => text + end).join('')

// dnsmasq hides what has a meaning (`, : .`, blanks, digits and the letters of hex) inside quotes from all that comes after. So do we, in
// characters that no file of ours holds. Lore: hence "10" is a name and no time, and "infinite" a name (seen, 2.90).
const hiddenBase = 0xe000
const metas = '1234567890abcdefABCDEF:,. #="\b\t\n\r\x1b'

const hide = (char: string): string => (metas.includes(char) ? String.fromCharCode(hiddenBase + char.charCodeAt(0)) : char)

/** The text with what quotes have hidden. */
export const unhide = (text: string): string => text.replace(/[\ue000-\ue07f]/g, (char) => String.fromCharCode(char.charCodeAt(0) - hiddenBase))

/** Was any of it inside quotes? */
export const hasHidden = (text: string): boolean => /[\ue000-\ue07f]/.test(text)

const escapes: Record<string, string> = { t: '\t', n: '\n', b: '\b', r: '\r', e: '\x1b', '"': '"', '\\': '\\' }

/** The line without its comment, blanks at the ends cut off, quotes resolved; or what is wrong with the quotes. */
export function stripLine(text: string): { readonly text: string } | { readonly wrong: string } {
  let [out, isWhite] = ['', true]
  for (let at = 0; at < text.length; at++) {
    let char = text[at] as string
    if (char === '"') {
      const quoted = readQuoted(text, at + 1)
      if (!quoted) return { wrong: 'a quote is opened and not closed' }
      out += quoted.text
      if (quoted.text) isWhite = false
      at = quoted.end
      continue
    }
    if (/\s/.test(char)) char = ' '
    if (char === '#' && isWhite) break
    isWhite = char === ' '
    out += char
  }
  return { text: out.replace(/^ +| +$/g, '') }
}

function readQuoted(text: string, start: number): { text: string; end: number } | undefined {
  let out = ''
  for (let at = start; at < text.length; at++) {
    const char = text[at] as string
    if (char === '"') return { text: out, end: at }
    const escaped = char === '\\' ? escapes[text[at + 1] ?? ''] : undefined
    out += hide(escaped ?? char)
    if (escaped !== undefined) at++
  }
  return undefined
}

/** The items between commas, blanks around them dropped. */
export const splitItems = (text: string): string[] => text.split(',').map((item) => item.replace(/^ +| +$/g, ''))

/** dnsmasq reads lines into 1025 bytes; what is longer it takes for two lines. */
export const lineBytesMax = 1023
