// The real ipmitool against a real controller of IPMI (ipmi_sim of openipmi), on loopback: states, actions, boot device, a wrong password, a dead controller.
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createIpmi } from '../../src/power/ipmi.ts'
import { runTool } from '../../src/power/run.ts'
import { describeWith } from '../support/tool.ts'

const lan = (port: number, folder: string) => `name "station"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 ${port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "${folder}/chassis 0x20"
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "ADMIN" "s3cret" admin 10 none md2 md5 straight
`

const commands = `mc_setbmc 0x20
mc_add 0x20 0 has-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`

/** The machine behind the controller: its power and its boot device are files. */
const chassis = (folder: string) => `#!/bin/sh
verb=$2
shift 2
case $verb in
get) for part; do case $part in
	power) echo "power:$(cat ${folder}/power)" ;;
	boot) echo boot:default ;;
	esac; done ;;
set) while [ $# -gt 0 ]; do
	case $1 in
	power) echo "$2" >${folder}/power ;;
	reset) echo reset >>${folder}/resets ;;
	boot) echo "$2" >${folder}/boot ;;
	esac
	shift 2
	done ;;
esac
`

describeWith(['ipmitool', 'ipmi_sim'], 'a controller of IPMI', () => {
  let folder: string
  let port: number
  let simulator: ChildProcess
  // IPMI 1.5 for most of them: ipmitool waits five seconds for the cipher suites that the simulator does not tell.
  const open = (password = 's3cret', at = port, over = 'lan') =>
    createIpmi({ address: '127.0.0.1', user: 'ADMIN', password, interface: over, port: at, run: runTool })

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bivouac-ipmi-'))
    port = await findFreeUdpPort()
    mkdirSync(join(folder, 'state'))
    const files = { 'lan.conf': lan(port, folder), commands, chassis: chassis(folder), power: '0\n' }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    chmodSync(join(folder, 'chassis'), 0o755)
    const words = ['-c', join(folder, 'lan.conf'), '-f', join(folder, 'commands'), '-s', join(folder, 'state'), '-n', '-p']
    simulator = spawn('ipmi_sim', words, { cwd: folder, stdio: 'ignore' })
    await untilItAnswers()
  })
  afterAll(() => {
    simulator?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  async function untilItAnswers(): Promise<void> {
    for (let turn = 0; turn < 12; turn++) {
      const state = await open()
        .status()
        .catch(() => undefined)
      if (state) return
      await sleep(250)
    }
    throw new Error('ipmi_sim does not answer')
  }

  it('is switched on, reset, and off; a reset of what is off switches it on', async () => {
    const ipmi = open()
    expect(await ipmi.status()).toBe('off')
    await ipmi.act('cycle')
    expect([await ipmi.status(), existsSync(join(folder, 'resets'))]).toEqual(['on', false])
    await ipmi.act('cycle')
    expect(readFileSync(join(folder, 'resets'), 'utf8')).toBe('reset\n')
    await ipmi.act('off')
    expect(await ipmi.status()).toBe('off')
    await ipmi.act('on')
    expect(await open('s3cret', port, 'lanplus').status()).toBe('on')
  })

  it('is told to boot from the network, or from disk', async () => {
    await open().bootFrom?.('network')
    expect(readFileSync(join(folder, 'boot'), 'utf8').trim()).toBe('pxe')
    await open().bootFrom?.('disk')
    // The simulator has one word for all that is not the network.
    expect(readFileSync(join(folder, 'boot'), 'utf8').trim()).toBe('default')
  })

  it('refuses a wrong password, which is not repeated', async () => {
    const refused = open('wr0ng')
      .status()
      .then(String, (error: Error) => error.message)
    expect(await refused).toMatch(/^ipmitool: /)
    expect(await refused).not.toContain('wr0ng')
  })

  it('that is dead is a failure within seconds', async () => {
    const startedAt = Date.now()
    await expect(open('s3cret', await findFreeUdpPort()).status()).rejects.toMatchObject({ code: 'power-failed', mayRetry: true })
    expect(Date.now() - startedAt).toBeLessThan(60_000)
  })

  it('never sees the password in a list of processes', async () => {
    const asking = open('v1sible', await findFreeUdpPort())
      .status()
      .catch(() => undefined)
    await sleep(300)
    const { stdout } = await runTool(['ps', 'axww', '-o', 'args'])
    expect(stdout).toMatch(/ipmitool/)
    expect(stdout).not.toContain('v1sible')
    await asking
  })
})

async function findFreeUdpPort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
  const { port } = socket.address()
  await new Promise<void>((done) => socket.close(done))
  return port
}
