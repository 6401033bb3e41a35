// apk's order of versions: digit{.digit}…{letter}{_suffix{#}}…{~hash}{-r#}. Used by closure and the mirror to choose the newest.
// Pure; a version that apk would not take is compared as far as it can be read, as apk does.
// (apk-tools, src/version.c)

type TokenKind = 'initial' | 'digit' | 'letter' | 'suffix' | 'suffix-number' | 'hash' | 'revision' | 'end' | 'invalid'
type Token = { readonly kind: TokenKind; readonly text: string }

/** What may follow what, and which of two different kinds is the greater: the one that stands earlier here. */
const ranks: Record<TokenKind, number> = {
  initial: 0,
  digit: 1,
  letter: 2,
  suffix: 3,
  'suffix-number': 4,
  hash: 5,
  revision: 6,
  end: 7,
  invalid: 8,
}

/** Before the empty string: pre-releases. After it: what came after the release. */
const suffixes = ['alpha', 'beta', 'pre', 'rc', '', 'cvs', 'svn', 'git', 'hg', 'p'] as const
const suffixRank = (suffix: string): number => suffixes.indexOf(suffix as (typeof suffixes)[number])
const noSuffix = suffixRank('')

/** Less than 0 when `one` is older than `other`, 0 when they are the same to apk, more than 0 when it is newer. */
export const compareVersions = (one: string, other: string): number => compare(one, other, false)

/** Does apk take this as a version? */
export function isVersion(text: string): boolean {
  const next = createLexer(text)
  let token = next()
  while (ranks[token.kind] < ranks.end) token = next()
  return token.kind === 'end'
}

/** Operators of a dependency; `~` is "begins with". */
export const versionOperators = ['<', '<=', '=', '>=', '>', '~', '<~', '>~', '><'] as const
export type VersionOperator = (typeof versionOperators)[number]

/**
 * Does `version` stand in this relation to `wanted`? `1.2.3-r0 ~ 1.2` holds: all that `wanted` says is there.
 * `><` compares checksums, not versions, and never holds here.
 */
export function matchesVersion(version: string, operator: VersionOperator, wanted: string): boolean {
  if (operator === '><') return false
  const order = compare(version, wanted, operator.includes('~'))
  if (order === 0) return operator.includes('=') || operator.includes('~')
  return order < 0 ? operator.includes('<') : operator.includes('>')
}

function compare(one: string, other: string, isFuzzy: boolean): number {
  const [nextOne, nextOther] = [createLexer(one), createLexer(other)]
  let [a, b] = [nextOne(), nextOther()]
  for (; a.kind === b.kind && ranks[a.kind] < ranks.end; a = nextOne(), b = nextOther()) {
    const order = compareTokens(a, b)
    if (order) return order
  }
  if (a.kind === b.kind) return 0
  if (b.kind === 'end' && isFuzzy) return 0
  if (isPreRelease(a)) return -1
  if (isPreRelease(b)) return 1
  return ranks[b.kind] - ranks[a.kind]
}

const isPreRelease = ({ kind, text }: Token): boolean => kind === 'suffix' && suffixRank(text) < noSuffix

function compareTokens(a: Token, b: Token): number {
  if (a.kind === 'suffix') return suffixRank(a.text) - suffixRank(b.text)
  // A part after a dot that begins with 0 is compared as text, like the digits of a fraction: 1.01 < 1.1.
  const isText = a.kind === 'hash' || a.kind === 'letter' || (a.kind === 'digit' && (a.text[0] === '0' || b.text[0] === '0'))
  return isText ? compareTexts(a.text, b.text) : compareNumbers(a.text, b.text)
}

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Digits of any length. */
function compareNumbers(a: string, b: string): number {
  const [one, other] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')]
  return one.length - other.length || compareTexts(one, other)
}

const patterns: readonly { readonly kind: TokenKind; readonly pattern: RegExp; readonly after: (last: TokenKind) => boolean }[] = [
  { kind: 'digit', pattern: /\.([0-9]+)/y, after: (last) => ranks[last] <= ranks.digit },
  { kind: 'suffix-number', pattern: /([0-9]+)/y, after: (last) => last === 'suffix' },
  { kind: 'letter', pattern: /([a-z])/y, after: (last) => ranks[last] <= ranks.digit },
  { kind: 'suffix', pattern: /_(alpha|beta|pre|rc|cvs|svn|git|hg|p)(?![a-z])/y, after: (last) => ranks[last] <= ranks['suffix-number'] },
  { kind: 'hash', pattern: /~([0-9a-f]+)/y, after: (last) => ranks[last] < ranks.hash },
  { kind: 'revision', pattern: /-r([0-9]+)/y, after: (last) => ranks[last] < ranks.revision },
]

/** Answers one token after the other; from the first that does not fit on, only `invalid`. */
function createLexer(text: string): () => Token {
  let at = 0
  let last: TokenKind | undefined
  const read = (): Token => {
    if (last === undefined) return take('initial', /([0-9]+)/y) ?? { kind: 'invalid', text: '' }
    if (last === 'invalid') return { kind: 'invalid', text: '' }
    if (at >= text.length) return { kind: 'end', text: '' }
    for (const { kind, pattern, after } of patterns) {
      const token = after(last) ? take(kind, pattern) : undefined
      if (token) return token
    }
    return { kind: 'invalid', text: '' }
  }
  const take = (kind: TokenKind, pattern: RegExp): Token | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (!found) return undefined
    at = pattern.lastIndex
    return { kind, text: found[1] as string }
  }
  return () => {
    const token = read()
    last = token.kind
    return token
  }
}
