// Every way of switching a machine, over stand-ins of the tools; the real ipmitool and controller are in test/interop/power.test.ts.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { adapterSchema, powerSchema } from '../../src/boot/power.ts'
import { parseNeighbours, sweep } from '../../src/power/arp.ts'
import { createCommand, expandWords } from '../../src/power/command.ts'
import { createPowerDesk } from '../../src/power/desk.ts'
import { createIpmi } from '../../src/power/ipmi.ts'
import { createRedfish } from '../../src/power/redfish.ts'
import { type Run, runTool } from '../../src/power/run.ts'
import { createWake, encodeMagic } from '../../src/power/wake.ts'

const mac = parseMac('52:54:00:00:00:01')

/** A tool that answers by what it is asked last. */
function createTool(answers: Record<string, string>) {
  const asked: { argv: readonly string[]; env: object }[] = []
  const run: Run = async (argv, { env = {} } = {}) => {
    asked.push({ argv, env })
    const stdout = answers[argv.at(-1) ?? ''] ?? ''
    return { stdout, stderr: '' }
  }
  return { run, asked }
}

describe('IPMI', () => {
  const open = (answers: Record<string, string>) => {
    const tool = createTool(answers)
    return { ...tool, ipmi: createIpmi({ address: '10.9.1.1', user: 'ADMIN', password: 'a b$c', interface: 'lanplus', run: tool.run }) }
  }

  it('asks ipmitool as the original does, with the password in the environment alone', async () => {
    const { ipmi, asked } = open({ status: 'Chassis Power is on\n' })
    expect(await ipmi.status()).toBe('on')
    await ipmi.bootFrom?.('network')
    expect(asked.map(({ argv }) => argv.join(' '))).toEqual([
      'ipmitool -I lanplus -N 2 -R 2 -H 10.9.1.1 -U ADMIN -E chassis power status',
      'ipmitool -I lanplus -N 2 -R 2 -H 10.9.1.1 -U ADMIN -E chassis bootdev pxe',
    ])
    expect(asked[0]?.env).toEqual({ IPMI_PASSWORD: 'a b$c' })
    expect(JSON.stringify(asked.map(({ argv }) => argv))).not.toContain('a b$c')
  })

  it('switches on what is off where a reset is meant', async () => {
    const off = open({ status: 'Chassis Power is off' })
    await off.ipmi.act('cycle')
    expect(off.asked.at(-1)?.argv.at(-1)).toBe('on')
    const on = open({ status: 'Chassis Power is on' })
    await on.ipmi.act('cycle')
    expect(on.asked.at(-1)?.argv.at(-1)).toBe('reset')
  })

  it('refuses words that say no state', async () => {
    await expect(open({ status: 'Hello' }).ipmi.status()).rejects.toMatchObject({ code: 'power-answer' })
  })
})

describe('a tool', () => {
  it('that is missing is named with the way to get it', async () => {
    await expect(runTool(['no-such-tool-here'])).rejects.toThrow(/no-such-tool-here is not installed/)
  })

  it('gets its words without a shell, and no secret of it is repeated', async () => {
    const { stdout } = await runTool(['printf', '%s|', 'a b', '$(id)', ';'])
    expect(stdout).toBe('a b|$(id)|;|')
    await expect(runTool(['sh', '-c', 'echo wrong password s3cret >&2; exit 1'], { secrets: ['s3cret'] })).rejects.toThrow('sh: wrong password ***')
  })

  it('that gives no answer is ended', async () => {
    await expect(runTool(['sleep', '60'], { timeoutMs: 100 })).rejects.toThrow(/no answer/)
  })
})

describe('command adapters', () => {
  const adapter = adapterSchema.parse({
    name: 'plug',
    variables: { login: '{{ .user }}:{{.password}}' },
    status: { cmd: 'plug -h {{ .ip_address }} -u {{.login}} state', on: '^ON', off: '^OFF' },
    on: { cmd: 'plug on' },
  })
  const open = (printed: string) => {
    const tool = createTool({ state: printed })
    return { ...tool, plug: createCommand({ adapter, address: '10.9.1.4', variables: { user: 'u', password: 'p q' }, run: tool.run }) }
  }

  it('put variables into words, which stay words', async () => {
    const { plug, asked } = open('x\nON now')
    expect(await plug.status()).toBe('on')
    expect(asked[0]?.argv).toEqual(['plug', '-h', '10.9.1.4', '-u', 'u:p q', 'state'])
    expect(await open('OFF').plug.status()).toBe('off')
  })

  it('say what is missing', async () => {
    await expect(open('?').plug.status()).rejects.toMatchObject({ code: 'power-answer' })
    await expect(open('').plug.act('cycle')).rejects.toThrow(/adapter plug has no command for cycle/)
    expect(() => expandWords('a {{ .b }}', {})).toThrow(/\{\{ \.b \}\} is given by nobody/)
    expect(() => expandWords('a {{ range .b }}', { b: '1' })).toThrow(/given by nobody/)
  })

  it('never make more words than the command has, whatever the values', () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(expandWords('tool -x {{ .v }} {{.v}}y', { v: value })).toEqual(['tool', '-x', value, `${value}y`])
      }),
    )
  })
})

describe('Wake-on-LAN', () => {
  it('sends six ones and sixteen times the address, three times', async () => {
    const sent: [string, number, string][] = []
    const wake = createWake({
      mac,
      broadcast: '10.9.0.255',
      send: async (bytes, port, address) => void sent.push([Buffer.from(bytes).toString('hex'), port, address]),
    })
    await wake.act('on')
    expect(sent).toEqual(Array(3).fill([`ffffffffffff${'525400000001'.repeat(16)}`, 9, '10.9.0.255']))
    expect(encodeMagic(mac, '01:02:03:04:05:06')).toHaveLength(108)
    expect(await wake.status()).toBe('unknown')
    await expect(wake.act('off')).rejects.toThrow(/only switch on/)
  })
})

describe('Redfish', () => {
  async function open({ systems = 1, allowed = ['On', 'ForceOff', 'ForceRestart'] as string[], power = 'On', wrong = false } = {}) {
    const asked: [string, string, unknown][] = []
    const server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      asked.push([request.method ?? '', request.url ?? '', text ? JSON.parse(text) : undefined])
      const isLogin = request.headers.authorization === `Basic ${Buffer.from('root:pass').toString('base64')}`
      response.setHeader('content-type', 'application/json')
      if (!isLogin || wrong) return response.writeHead(401).end('{}')
      if (request.method !== 'GET') return response.writeHead(204).end()
      const members = Array.from({ length: systems }, (_, index) => ({ '@odata.id': `/redfish/v1/Systems/${index + 1}` }))
      const system = {
        PowerState: power,
        Actions: {
          '#ComputerSystem.Reset': { target: '/redfish/v1/Systems/1/Actions/ComputerSystem.Reset', 'ResetType@Redfish.AllowableValues': allowed },
        },
      }
      response.end(JSON.stringify(request.url === '/redfish/v1/Systems' ? { Members: members } : system))
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    onTestFinished(() => void server.close())
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    return { asked, redfish: createRedfish({ url, user: 'root', password: 'pass', verifyTls: true, timeoutMs: 5000 }) }
  }

  it('tells the state of the only system, and asks where it is once', async () => {
    const { redfish, asked } = await open()
    expect([await redfish.status(), await redfish.status()]).toEqual(['on', 'on'])
    expect(asked.map(([, url]) => url)).toEqual(['/redfish/v1/Systems', '/redfish/v1/Systems/1', '/redfish/v1/Systems/1'])
  })

  it.each([
    ['cycle', 'On', ['ForceRestart', 'On'], 'ForceRestart'],
    ['cycle', 'Off', ['ForceRestart', 'On'], 'On'],
    ['cycle', 'On', ['PowerCycle'], 'PowerCycle'],
    ['off', 'On', [], 'ForceOff'],
    ['on', 'Off', ['ForceOn'], 'ForceOn'],
  ] as const)('%s of a system that is %s and allows %j is %s', async (action, power, allowed, wanted) => {
    const { redfish, asked } = await open({ power, allowed: [...allowed] })
    await redfish.act(action)
    expect(asked.at(-1)).toEqual(['POST', '/redfish/v1/Systems/1/Actions/ComputerSystem.Reset', { ResetType: wanted }])
  })

  it('orders the next boot from the network, once', async () => {
    const { redfish, asked } = await open()
    await redfish.bootFrom?.('network')
    expect(asked.at(-1)?.[2]).toEqual({ Boot: { BootSourceOverrideEnabled: 'Once', BootSourceOverrideTarget: 'Pxe' } })
  })

  it('says what is wrong', async () => {
    await expect((await open({ wrong: true })).redfish.status()).rejects.toMatchObject({ code: 'power-login', mayRetry: false })
    await expect((await open({ systems: 2 })).redfish.status()).rejects.toThrow(/2 systems: name one/)
    const dead = createRedfish({ url: 'http://127.0.0.1:9', user: 'a', password: 'b', verifyTls: true, timeoutMs: 2000 })
    await expect(dead.status()).rejects.toMatchObject({ code: 'power-unreachable' })
  })
})

describe('the desk', () => {
  const desk = createPowerDesk({
    adapters: [adapterSchema.parse({ name: 'plug', cycle: { cmd: 'plug reset' } })],
    networks: [],
    env: {},
    run: async () => ({ stdout: '', stderr: '' }),
  })
  const plug = { name: 'kiosk', macs: [mac], power: powerSchema.parse({ kind: 'command', adapter: 'plug', address: '10.9.1.4' }) }

  it('refuses a boot device that the way does not know, unless it is optional', async () => {
    await expect(desk.act(plug, 'cycle', 'network')).rejects.toMatchObject({ code: 'power-boot-device' })
    await desk.act(plug, 'cycle', 'network', true)
    await desk.act(plug, 'cycle')
  })

  it('says what a station lacks that it cannot switch', async () => {
    await expect(desk.status({ name: 'bench', macs: [mac] })).rejects.toMatchObject({ code: 'power-none' })
  })
})

describe('neighbours', () => {
  it('are read from arp, ip and the kernel', () => {
    const text = `? (10.69.70.11) at 00:0:0:00:00:a [ether] on eth0
10.69.70.12 dev eth0 lladdr 00:00:00:00:00:0b REACHABLE
10.69.70.13 dev eth0  FAILED
10.69.70.14      0x1         0x2         00:00:00:00:00:0d     *        eth0
10.69.70.15      0x1         0x0         00:00:00:00:00:00     *        eth0
`
    expect([...parseNeighbours(text)]).toEqual([
      ['00:00:00:00:00:0a', '10.69.70.11'],
      ['00:00:00:00:00:0b', '10.69.70.12'],
      ['00:00:00:00:00:0d', '10.69.70.14'],
    ])
    fc.assert(
      fc.property(fc.string(), (any) => {
        parseNeighbours(any)
      }),
    )
  })

  it('are found by a sweep of each subnet once; too big ones are refused', async () => {
    const { run, asked } = createTool({})
    await sweep(['10.69.70.0/24', '10.69.70.0/24', '10.69.71.0/24'], run)
    expect(asked.map(({ argv }) => argv.at(-1))).toEqual(['10.69.70.0/24', '10.69.71.0/24'])
    await expect(sweep(['10.0.0.0/8'], run)).rejects.toThrow(/too big to sweep/)
  })
})

describe('the record', () => {
  it.each([
    [{ kind: 'ipmi', address: '10.9.1.1', password: { env: 'IPMI_PASSWORD' } }, true],
    [{ kind: 'ipmi', address: '10.9.1.1', password: 'secret' }, false],
    [{ kind: 'ipmi', address: '10.9.1.1', password: {} }, false],
    [{ kind: 'redfish', url: 'https://bmc.lab', user: 'root', password: { file: '/etc/bivouac/bmc' } }, true],
    [{ kind: 'redfish', url: 'ftp://bmc.lab', user: 'root', password: { file: '/x' } }, false],
    [{ kind: 'wake' }, true],
    [{ kind: 'command', adapter: 'plug', variables: { port: '3' } }, true],
    [{ kind: 'steam' }, false],
  ])('%j', (power, isRight) => expect(powerSchema.safeParse(power).success).toBe(isRight))
})
