// The expressions after #if in iPXE's option headers, worked out for one platform. Used by option only; no arithmetic.
import type { BinDir } from './target.ts'

const archMacros: Partial<Record<BinDir['arch'], string>> = {
  i386: '__i386__',
  x86_64: '__x86_64__',
  arm32: '__arm__',
  arm64: '__aarch64__',
  riscv32: '__riscv',
  riscv64: '__riscv',
  loong64: '__loongarch__',
}

/**
 * The macros that decide conditions in a bin directory.
 * @param defaults text of config/defaults/<platform>.h, which names the absent subsystems (`SANBOOT_NULL`).
 */
export function macrosOf({ platform, arch }: BinDir, defaults = ''): Set<string> {
  const names = [...defaults.matchAll(/^\s*#\s*define\s+([A-Za-z_]\w*)/gm)].map((found) => found[1] ?? '')
  return new Set([...names, `PLATFORM_${platform}`, archMacros[arch] ?? ''])
}

export const negateCondition = (condition: string): string => (condition === '' ? '' : `! ( ${condition} )`)

/** Whether `condition` holds. What is not made of `defined`, `!`, `&&`, `||` and brackets counts as true. */
export function evaluateCondition(condition: string, defined: ReadonlySet<string>): boolean {
  const tokens = condition.match(/[A-Za-z_]\w*|&&|\|\||[!()]|\S/g) ?? []
  let at = 0
  const isNext = (token: string): boolean => tokens[at] === token && ++at > 0
  const anyOf = (depth: number): boolean => {
    let value = allOf(depth)
    while (isNext('||')) value = allOf(depth) || value
    return value
  }
  const allOf = (depth: number): boolean => {
    let value = one(depth)
    while (isNext('&&')) value = one(depth) && value
    return value
  }
  const one = (depth: number): boolean => {
    if (depth > 100) return true
    if (isNext('!')) return !one(depth + 1)
    if (isNext('(')) {
      const value = anyOf(depth + 1)
      isNext(')')
      return value
    }
    if (!isNext('defined')) return at++ >= 0
    const hasBracket = isNext('(')
    const name = tokens[at++] ?? ''
    if (hasBracket) isNext(')')
    return defined.has(name)
  }
  return anyOf(0)
}
