// Values that somebody forgot to fill in, in the configuration and in records. Used by mistake.ts. Pure.

// Lore: the texts that people copy from say [serveur_http], some.where.org, replace_with_ip, <your-server>, CHANGEME.
const placeholders = [
  /\[[a-z0-9]+([_ -][a-z0-9]+)+\]/i,
  /\bsome\.where\.org\b/i,
  /\breplace_with_[a-z_]+/i,
  /<[a-z][a-z0-9_ -]*>/i,
  /\bchange_?me\b/i,
]

/** The placeholder in a text, or undefined. */
export function findPlaceholder(text: string): string | undefined {
  for (const pattern of placeholders) {
    const found = pattern.exec(text)
    if (found) return found[0]
  }
  return undefined
}

/** Every text in a tree of values that holds a placeholder, with the path to it. */
export function listPlaceholders(tree: unknown, path: readonly PropertyKey[] = []): { path: readonly PropertyKey[]; placeholder: string }[] {
  if (typeof tree === 'string') {
    const placeholder = findPlaceholder(tree)
    return placeholder === undefined ? [] : [{ path, placeholder }]
  }
  if (typeof tree !== 'object' || tree === null) return []
  const entries: [PropertyKey, unknown][] = Array.isArray(tree) ? [...tree.entries()] : Object.entries(tree)
  return entries.flatMap(([part, inner]) => listPlaceholders(inner, [...path, part]))
}

export const sayPlaceholder = (placeholder: string): string => `"${placeholder}" is a placeholder: put the real value in its place`
