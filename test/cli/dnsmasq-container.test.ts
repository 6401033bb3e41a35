// `bivouac dnsmasq container` with stubs of ovs-vsctl, ip, docker and id on PATH, which record what they are called with.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run } from '../../src/cli/main.ts'
import { planContainer } from '../../src/dnsmasq/container.ts'
import { applyContainer } from '../../src/dnsmasq/container-run.ts'
import { makeScratch } from '../support/scratch.ts'

const words = '--bridge backplane1 --tag 2311 --subnet 192.168.0.0/24 --gateway 192.168.0.1 --address 192.168.0.240 --workdir /srv/PXEDOCK'.split(' ')
const add = 'ovs-vsctl add-port backplane1 pxeboot tag=2311 -- set interface pxeboot type=internal'
const up = 'ip link set pxeboot up'
const network = 'docker network create -d macvlan --subnet=192.168.0.0/24 --gateway=192.168.0.1 -o parent=pxeboot pxeboot'
const mount = (source: string, target: string) => `--mount type=bind,source=/srv/PXEDOCK/${source},target=/${target}`
const mounts = [
  mount('tftpboot', 'tftpboot'),
  mount('conf', 'conf'),
  mount('images/vmlinuz-4', 'tftpboot/vmlinuz-4'),
  mount('images/initrd.gz', 'tftpboot/initrd.gz'),
].join(' ')
const start = `docker run --detach --rm --net=pxeboot --name=pxeboot --ip=192.168.0.240 ${mounts} --privileged jumpscale/pxeboot`
const undos = [
  'ovs-vsctl --if-exists del-port backplane1 pxeboot',
  'ip link set pxeboot down',
  'docker network rm pxeboot',
  'docker rm --force pxeboot',
]
const steps = [add, up, network, start]

/** `$FOLDER/fail` and `$FOLDER/there` hold beginnings of calls, a line each, that fail or (probes) find something. */
const stub = (folder: string) => `#!/bin/sh
call="\${0##*/} $*"
echo "$call" >> ${folder}/calls
case "$call" in "id -u") cat ${folder}/uid; exit 0;; "id -nG") cat ${folder}/groups; exit 0;; esac
while read -r one; do case "$call" in "$one"*) echo "no luck" >&2; exit 1;; esac; done < ${folder}/fail
case "$call" in *" inspect "*|*port-to-br*|*"link show"*)
  while read -r one; do case "$call" in "$one"*) exit 0;; esac; done < ${folder}/there
  exit 1;; esac
exit 0
`

describe('dnsmasq container', () => {
  let folder: string
  const path = process.env.PATH
  beforeEach(async () => {
    folder = await makeScratch()
    mkdirSync(join(folder, 'bin'))
    for (const name of ['ovs-vsctl', 'ip', 'docker', 'id']) writeFileSync(join(folder, 'bin', name), stub(folder), { mode: 0o755 })
    lay({ uid: '1000', groups: 'users docker', fail: '', there: '' })
    process.env.PATH = `${join(folder, 'bin')}:/usr/bin:/bin`
  })
  afterEach(() => {
    process.env.PATH = path
  })
  const lay = (files: Record<string, string>) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text && `${text}\n`)
  }
  const calls = () => (existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n') : [])
  const changes = () => calls().filter((call) => steps.includes(call) || undos.includes(call))
  const tell = async (...args: string[]) => {
    let text = ''
    const spies = [process.stdout, process.stderr].map((stream) =>
      vi.spyOn(stream, 'write').mockImplementation((chunk) => {
        text += chunk
        return true
      }),
    )
    try {
      return { code: await run(['dnsmasq', 'container', ...words, ...args], { HOME: folder }), text }
    } finally {
      process.exitCode = undefined
      for (const spy of spies) spy.mockRestore()
    }
  }

  it('tells the steps and runs nothing by default, and with --dry-run', async () => {
    const { code, text } = await tell()
    const titles = ['port pxeboot on bridge backplane1', 'link pxeboot up', 'macvlan network pxeboot', 'container pxeboot at 192.168.0.240']
    const plan = titles.map((title, at) => `${at + 1}. ${title}\n   ${steps[at]}\n   undo: ${undos[at]}\n`).join('')
    expect([code, text]).toEqual([0, `${plan}dry run: nothing is changed; --apply would make it\n`])
    const machine = JSON.parse((await tell('--json', '--apply', '--dry-run')).text) as { steps: { argv: string[] }[] }
    expect(machine.steps.map(({ argv }) => argv.join(' '))).toEqual(steps)
    expect(calls()).toEqual([])
  })

  it('makes them in order', async () => {
    expect(await tell('--apply')).toMatchObject({ code: 0 })
    expect(changes()).toEqual(steps)
  })

  it.each([0, 1, 2, 3])('undoes what is done, last first, when step %i fails', async (at) => {
    lay({ fail: steps[at] as string })
    expect(await tell('--apply')).toMatchObject({ code: 5, text: expect.stringMatching(/failed: .*no luck[\s\S]*rolled back\n$/) })
    expect(changes()).toEqual([...steps.slice(0, at + 1), ...undos.slice(0, at).toReversed()])
  })

  it('goes on undoing when one cannot be undone, and says so', async () => {
    lay({ fail: `${start}\n${undos[2]}` })
    expect(await tell('--apply')).toMatchObject({ code: 6, text: expect.stringMatching(/by hand: docker network rm pxeboot\nrollback incomplete/) })
    expect(changes().slice(4)).toEqual([undos[2], undos[1], undos[0]])
  })

  it.each([
    [{ groups: 'users' }, 2, /not in the group docker/],
    [{ there: 'docker network inspect pxeboot' }, 3, /macvlan network pxeboot: there already/],
    [{ there: 'ip link show dev pxeboot' }, 3, /port pxeboot on bridge backplane1: there already/],
    [{ fail: 'ovs-vsctl br-exists' }, 4, /no bridge backplane1/],
    [{ fail: 'docker info' }, 4, /docker does not answer: no luck/],
  ])('refuses with %j and changes nothing', async (files, code, text) => {
    lay(files)
    expect(await tell('--apply')).toMatchObject({ code, text: expect.stringMatching(text) })
    expect(changes()).toEqual([])
  })

  it('needs no group as root, and names a tool that is not there', async () => {
    lay({ uid: '0', groups: 'root' })
    expect((await tell('--apply')).code).toBe(0)
    rmSync(join(folder, 'bin/ovs-vsctl'))
    process.env.PATH = join(folder, 'bin')
    expect(await tell('--apply')).toMatchObject({ code: 4, text: expect.stringMatching(/ovs-vsctl is not there/) })
  })

  it('undoes a failed step too when it left something', async () => {
    const step = { title: 'port', argv: ['make'], undo: ['undo'], probes: [['probe']] }
    const report = await applyContainer([step], async ([word]) => ({ code: word === 'make' ? 1 : 0, stdout: '', reason: 'half' }))
    expect(report).toMatchObject({ result: 'rolled-back', done: [], undone: ['port'] })
  })

  it.each([
    [{ tag: 4095 }, /--tag/],
    [{ address: '192.168.1.1' }, /--address: .* not in/],
    [{ address: '192.168.0.255' }, /--address: .* nobody's/],
    [{ gateway: 'x' }, /--gateway/],
    [{ subnet: '192.168.0.1/24' }, /--subnet/],
    [{ portName: '-rf' }, /--port-name/],
    [{ image: '--help' }, /--image/],
    [{ workdir: '/a,b' }, /--workdir/],
  ])('refuses %j', (wrong, text) => {
    const good = { bridge: 'b', portName: 'p', parent: 'p', subnet: '192.168.0.0/24', gateway: '192.168.0.1', address: '192.168.0.2' }
    expect(() => planContainer({ ...good, image: 'i', workdir: '/w', engine: 'docker', name: 'n', ...wrong })).toThrow(text)
  })
})
