// Every command of the documents, run as a reader would: in a copy of the project, in order, in a network namespace of its own.
// A block marked `sh` is run line by line; other blocks are text, files or commands for other machines. YAML blocks are checked as what they are.
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { readRecipe } from '../../src/ipxe/recipe-file.ts'
import { readProfile, readStation } from '../../src/store/record-file.ts'
import { authorityPem } from '../ipxe/support/certificate.ts'
import { writeDocumentedStandIn } from '../ipxe/support/stand-in.ts'
import { carryRelease, makeAlpineSite } from '../support/alpine-site.ts'
import { trustKey } from '../support/apk.ts'
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

const isRecipe = (block: string): boolean => /^extends:/m.test(block)

/** Files that docs/ipxe.md speaks of. The recipe is the document's own. */
function layIpxeFiles(folder: string): void {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const files = { 'kiosk.yaml': blocksOf('docs/ipxe.md', 'yaml').find(isRecipe) ?? '', 'my.ipxe': '#!ipxe\nshell\n', 'client.key': privateKey }
  for (const name of ['ca.pem', 'new-ca.pem', 'client.pem']) writeFileSync(join(folder, name), authorityPem)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
}

/** A mirror on this namespace's loopback in place of Alpine's, its release as somebody would carry it, and the key that it is signed with. */
async function layMirror(copy: string, lab: Lab, namespace: string): Promise<Record<string, string>> {
  const { kernel, initramfs, modloop = kernel } = await findStandIn()
  const folder = join(copy, 'state/www/alpine')
  const site = await makeAlpineSite({ folder, boot: { kernel, initramfs, modloop } })
  carryRelease(site, copy)
  trustKey(join(copy, 'depot/apk'), site.key)
  mkdirSync(join(copy, 'depot/keys'), { recursive: true })
  writeFileSync(join(copy, 'depot/keys/alpine.asc'), site.releaseKey)
  const port = '8099'
  lab.spawn(namespace, ['busybox', 'httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', join(copy, 'state/www')])
  return { MIRROR: `http://127.0.0.1:${port}/alpine`, FINGERPRINT: site.fingerprint }
}

/** What a build of the stand-in for iPXE's source asks for but never uses: it compiles nothing, make alone is real. */
function layCompilers(folder: string): void {
  mkdirSync(folder)
  for (const name of ['gcc', 'ld', 'objcopy', 'perl', 'openssl']) {
    writeFileSync(join(folder, name), `#!/bin/sh\necho ${name} 1.0\n`)
    chmodSync(join(folder, name), 0o755)
  }
}

describeWith(['root', 'ip', 'git', 'make', 'curl', 'busybox', 'grub-mkimage', 'xorriso', 'qemu-system-x86_64'], 'the documents', () => {
  let lab: Lab
  let copy: string
  let namespace: string
  let server: Running | undefined
  let env: Record<string, string>

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
    layIpxeFiles(copy)
    layCompilers(join(copy, 'state/compilers'))
    await writeDocumentedStandIn(join(copy, 'state/ipxe-source'))
    env = { PATH: `${join(copy, 'state/compilers')}:${process.env.PATH}` }
    lab = createLab('docs')
    namespace = lab.namespace('host')
    Object.assign(env, await layMirror(copy, lab, namespace))
    server = lab.spawn(namespace, ['npm', 'start'], { cwd: copy, env })
    await server.waitFor(/^Next: /m, 60_000)
    env.BIVOUAC_TOKEN = /operator token, shown only now: (\S+)/.exec(server.output())?.[1] ?? ''
    const added = await lab.run(namespace, ['npx', 'bivouac', 'ipxe', 'source', 'add', 'state/ipxe-source', '--name', 'ipxe-2.0.0'], {
      cwd: copy,
      env,
    })
    expect(`${added.stdout}${added.stderr}`).toMatch(/^ipxe-2\.0\.0: sha256:/)
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
    expect(server?.output()).toMatch(/depot +\.\/depot \(new\)/)
  })

  it.each(commands.filter(([, command]) => command !== 'npm start' && !isRunElsewhere(command)))('%s: %s', async (_, command) => {
    const outcome = await lab.run(namespace, ['bash', '-c', command], { cwd: copy, timeoutMs: 200_000, env })
    expect(`${outcome.stdout}${outcome.stderr}\nexit ${outcome.code}`).toMatch(/\nexit 0$/)
  })

  it.each(documents.flatMap((document) => blocksOf(document, 'yaml').map((block, at) => [document, at, block] as const)))(
    '%s: YAML block %i is accepted',
    async (_, at, block) => {
      if (/^(mac|macs):/m.test(block)) return void expect(readStation(block, `block-${at}.yaml`)).toHaveProperty('value')
      if (/^kind:/m.test(block)) return void expect(readProfile(block, `block-${at}.yaml`)).toHaveProperty('value')
      const file = join(copy, `block-${at}.yaml`)
      writeFileSync(file, block)
      if (isRecipe(block)) return void expect(await readRecipe(join(copy, 'ipxe'), file)).toHaveProperty('target')
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
