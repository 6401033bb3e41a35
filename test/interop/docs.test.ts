// Every command of the documents, run as a reader would: in a copy of the project, in order, in a network namespace of its own.
// A block marked `sh` is run line by line; other blocks are text, files or commands for other machines. YAML blocks are checked as what they are.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { readProfile, readStation } from '../../src/store/record-file.ts'
import { createLab, type Lab, type Running } from '../support/netns.ts'
import { describeWith } from '../support/tool.ts'
import { findStandIn } from '../support/virtual.ts'

const project = resolve(import.meta.dirname, '../..')
const documents = ['README.md', ...readdirSync(join(project, 'docs')).map((name) => `docs/${name}`)].filter((name) => name.endsWith('.md'))

/** Run elsewhere: the suite itself, the benchmark (minutes), and CI's own script. */
const isRunElsewhere = (command: string): boolean => /^(npm test|npm run (check|bench)|bash \.ci\/run)\b/.test(command)

function blocksOf(document: string, language: string): string[] {
  const text = readFileSync(join(project, document), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((found) => found[1] as string)
}

describeWith(['root', 'ip', 'git', 'qemu-system-x86_64'], 'the documents', () => {
  let lab: Lab
  let copy: string
  let namespace: string
  let server: Running | undefined

  beforeAll(async () => {
    copy = mkdtempSync(join(tmpdir(), 'bivouac-docs-'))
    const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: project, encoding: 'utf8' }).split('\0')
    for (const name of tracked.filter((one) => one && existsSync(join(project, one)))) {
      mkdirSync(dirname(join(copy, name)), { recursive: true })
      cpSync(join(project, name), join(copy, name))
    }
    // What the first start installs from npm, which a namespace cannot reach; the start on a bare machine is CI's own beginning.
    execFileSync('cp', ['-al', join(project, 'node_modules'), join(copy, 'node_modules')])
    if (existsSync(join(project, 'src/runtime/node_modules')))
      execFileSync('cp', ['-al', join(project, 'src/runtime/node_modules'), join(copy, 'src/runtime/node_modules')])
    // Likewise the kernel of the virtual station, which `try` gets from the package manager.
    await findStandIn()
    mkdirSync(join(copy, 'state/stand-in'), { recursive: true })
    execFileSync('cp', ['-a', join(project, 'node_modules/.cache/bivouac-stand-in/kernel'), join(copy, 'state/stand-in/kernel')])
    lab = createLab('docs')
    namespace = lab.namespace('host')
    server = lab.spawn(namespace, ['npm', 'start'], { cwd: copy })
    await server.waitFor(/^Next: /m, 60_000)
  })
  afterAll(async () => {
    await server?.stop()
    await lab.close()
    rmSync(copy, { recursive: true, force: true })
  })

  const commands = documents.flatMap((document) =>
    blocksOf(document, 'sh').flatMap((block) =>
      block
        .trim()
        .split('\n')
        .map((command) => [document, command] as const),
    ),
  )

  it('there are commands to run, and the first is `npm start`', () => {
    expect(commands[0]).toEqual(['README.md', 'npm start'])
    expect(server?.output()).toMatch(/depot \.\/depot \(new\)/)
  })

  it.each(commands.filter(([, command]) => command !== 'npm start' && !isRunElsewhere(command)))('%s: %s', async (_, command) => {
    const outcome = await lab.run(namespace, ['bash', '-c', command], { cwd: copy, timeoutMs: 200_000 })
    expect(`${outcome.stdout}${outcome.stderr}\nexit ${outcome.code}`).toMatch(/\nexit 0$/)
  })

  it.each(documents.flatMap((document) => blocksOf(document, 'yaml').map((block, at) => [document, at, block] as const)))(
    '%s: YAML block %i is accepted',
    (_, at, block) => {
      if (/^(mac|macs):/m.test(block)) return void expect(readStation(block, `block-${at}.yaml`)).toHaveProperty('value')
      if (/^kind:/m.test(block)) return void expect(readProfile(block, `block-${at}.yaml`)).toHaveProperty('value')
      const file = join(copy, `block-${at}.yaml`)
      writeFileSync(file, block)
      expect(loadConfig({ file, flags: {}, env: {} }).lints.filter(({ severity }) => severity === 'error')).toEqual([])
    },
  )
})

describeWith([], 'links in the documents', () => {
  it.each(documents)('%s leads only to files that are there', (document) => {
    const targets = [...readFileSync(join(project, document), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map((found) => found[1] as string)
    expect(targets.filter((target) => !existsSync(join(project, dirname(document), target)))).toEqual([])
  })
})
