// Programs of the host that virtual stations need: finding them, running them to their end. Used by the other files of this room.
import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { MissingError, OutsideError } from '../boot/error.ts'

const folders = (): string[] => [...new Set([...(process.env.PATH ?? '').split(delimiter).filter(Boolean), '/usr/sbin', '/sbin', '/usr/bin', '/bin'])]

/** The path of a program, looked for in PATH and the system's usual folders. */
export function findTool(...names: readonly string[]): string | undefined {
  return names.flatMap((name) => folders().map((folder) => join(folder, name))).find(canRun)
}

const canRun = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Which package brings a thing, by package manager. */
export type Packages = { readonly apt: string; readonly apk: string; readonly dnf: string }

/** `apt-get install x`, in the words of the package manager that is here. */
export function installHint(packages: Packages): string {
  if (findTool('apt-get')) return `apt-get install ${packages.apt}`
  if (findTool('apk')) return `apk add ${packages.apk}`
  if (findTool('dnf')) return `dnf install ${packages.dnf}`
  return `on Debian: apt-get install ${packages.apt}; on Alpine: apk add ${packages.apk}; on Fedora: dnf install ${packages.dnf}`
}

/** Throws MissingError `tool-missing` that says what to install. */
export function needTool(name: string, packages: Packages): string {
  const path = findTool(name)
  if (!path) throw new MissingError('tool-missing', `${name} is not installed. To install it: ${installHint(packages)}`)
  return path
}

export type RunOptions = { readonly folder?: string; readonly timeoutMs?: number }

/** Runs a program to its end and gives its standard output. Throws OutsideError `tool-failed` with the last line of its complaint. */
export function runTool(argv: readonly [string, ...string[]], { folder, timeoutMs = 120_000 }: RunOptions = {}): Promise<Buffer> {
  const [path, ...args] = argv
  const options = { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024, timeout: timeoutMs, ...(folder && { cwd: folder }) } as const
  return new Promise((resolve, reject) => {
    execFile(path, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout)
      const complaint = stderr.toString().trim().split('\n').at(-1) || error.message
      reject(new OutsideError('tool-failed', `${path} ${args[0] ?? ''}: ${complaint}`, true, { cause: error }))
    })
  })
}

/** Is it an ELF program that needs no loader and no libraries? False for whatever cannot be read. (System V ABI, program headers: PT_INTERP is 3) */
export function isStaticProgram(path: string): boolean {
  if (!existsSync(path)) return false
  try {
    const bytes = readFileSync(path)
    if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2) return false
    const [tableAt, entryBytes, entries] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)]
    return !Array.from({ length: entries }, (_, index) => bytes.readUInt32LE(tableAt + index * entryBytes)).includes(3)
  } catch {
    return false
  }
}
