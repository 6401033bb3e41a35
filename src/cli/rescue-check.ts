// `bivouac rescue check`: asks each URL of `fullroot=` in the rescue entries for the files that the image fetches. Called by nobody else.
import type { Command } from 'commander'
import { listRescueRoots, rescueFiles } from '../config/hand-rescue.ts'
import type { Context } from './context.ts'
import { exitCodes, say, sayJson } from './output.ts'

export function addRescueCheck(rescue: Command, context: () => Context): void {
  rescue
    .command('check')
    .description('ask the URLs of the rescue entries for root.sqfs, Install and pubkey (HEAD, 3 s each)')
    .addHelpText('after', '\nExamples:\n  bivouac rescue check\n  bivouac rescue check --json')
    .action(() => check(context()))
}

async function check(context: Context): Promise<void> {
  const asked = listRescueRoots(context.load().config).flatMap(({ file, line, url }) =>
    rescueFiles.map(async (name) => ({
      file,
      line,
      url: `${url.replace(/\/+$/, '')}/${name}`,
      ...(await ask(`${url.replace(/\/+$/, '')}/${name}`)),
    })),
  )
  const answers = await Promise.all(asked)
  if (answers.some(({ isThere }) => !isThere)) process.exitCode = exitCodes.missing
  if (context.json) return sayJson(answers)
  if (!answers.length) return say('no rescue entry in pxelinux.cfg/ has a fullroot=')
  for (const { file, line, url, answer } of answers) say(`${file}:${line}: ${url}: ${answer}`)
}

async function ask(url: string): Promise<{ isThere: boolean; answer: string }> {
  try {
    const { ok, status } = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(3000) })
    return { isThere: ok, answer: String(status) }
  } catch (error) {
    return { isThere: false, answer: `does not answer: ${((error as Error).cause as Error | undefined)?.message ?? (error as Error).message}` }
  }
}
