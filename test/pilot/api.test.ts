// PXE Pilot's interface as an exchange table, at both prefixes, over its own fixture: statuses, bodies, links, and nothing half done.
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createPilotApp } from '../../src/http/pilot.ts'
import { parsePilotConfig } from '../../src/pilot/config.ts'
import { createPilot, type PilotChange } from '../../src/pilot/service.ts'
import { runTool } from '../../src/power/run.ts'
import { openTransactions } from '../../src/store/transaction.ts'
import { makePilotFixture, type PilotFixture } from './fixture.ts'

let fixture: PilotFixture
const path = process.env.PATH
beforeEach(() => {
  fixture = makePilotFixture()
  process.env.PATH = `${fixture.bin}:${path}`
})
afterEach(() => {
  process.env.PATH = path
  fixture.remove()
})

type Options = { flat?: boolean; needsToken?: boolean; showsSecrets?: boolean; config?: (text: string) => string }

async function open({ flat = false, needsToken = false, showsSecrets = false, config: edit = (text) => text }: Options = {}) {
  if (flat) {
    fixture.remove()
    fixture = makePilotFixture({ flat })
    process.env.PATH = `${fixture.bin}:${path}`
  }
  const config = parsePilotConfig(edit(readFileSync(fixture.file, 'utf8')), fixture.file)
  const transactions = await openTransactions(join(fixture.folder, 'intents'))
  const changes: PilotChange[] = []
  const pilot = createPilot({
    config: () => config,
    transactions,
    run: runTool,
    now: () => 7,
    remember: async (made) => void changes.push(...made),
    showsSecrets,
  })
  const verifyToken = (token: string) => (token === 'bvc_right' ? { name: 'anna' } : undefined)
  const app = createPilotApp({ pilot, verifyToken, needsToken, history: (host) => changes.filter((change) => change.host === host) })
  const call = async (method: string, url: string, body?: string, headers: Record<string, string> = {}) => {
    // The original's client sends a body with GET too; app.request cannot, the socket test does.
    const response = await app.request(`http://h${url}`, { method, headers, ...(body !== undefined && { body }) })
    return { status: response.status, text: await response.text(), type: response.headers.get('content-type'), to: response.headers.get('location') }
  }
  return { call, pilot, changes, config }
}

const linksOf = (): Record<string, string> => {
  const folder = join(fixture.root, 'pxelinux.cfg')
  return Object.fromEntries(
    readdirSync(folder)
      .filter((name) => name.startsWith('01-'))
      .sort()
      .map((name) => [name, readlinkSync(join(folder, name)).replace(fixture.root, 'T')]),
  )
}

const deploy = (...hosts: object[]): string => JSON.stringify({ hosts })

describe.each(['', '/v1'])('the interface at "%s"', (prefix) => {
  const message = (text: string): string => JSON.stringify({ Message: text, message: text }).replaceAll('<', '\\u003c').replaceAll('>', '\\u003e')
  const local = `${prefix}/configurations/local/deploy`

  const exchanges: [string, string, string, string | undefined, number, string][] = [
    ['health', 'GET', `${prefix}/healthcheck`, undefined, 204, ''],
    [
      'boot loaders, in the order of the file',
      'GET',
      `${prefix}/bootloaders`,
      undefined,
      200,
      '[{"name":"pxelinux","file":"pxelinux.0","config_path":"pxelinux.cfg"},{"name":"syslinux","file":"syslinux.efi","config_path":"pxelinux.cfg"},{"name":"grub","file":"grubx64.efi","config_path":"grub/grub.cfg"}]',
    ],
    [
      'a configuration, marks escaped',
      'GET',
      `${prefix}/configurations/sheep`,
      undefined,
      200,
      '{"name":"sheep","content":"# sheep\\nDEFAULT sheep \\u003c\\u0026\\u003e"}',
    ],
    ['an unknown configuration', 'GET', `${prefix}/configurations/gone`, undefined, 404, message("Configuration 'gone' does not exists")],
    ['a deploy by name', 'PUT', local, deploy({ name: 'h1' }), 200, '{"hosts":[{"name":"h1","configuration":"","rebooted":"NO"}]}'],
    ['a deploy by MAC', 'PUT', local, deploy({ macAddress: '00:00:00:00:00:01' }), 200, '{"hosts":[{"name":"","configuration":"","rebooted":"NO"}]}'],
    [
      "a deploy by the README's key",
      'PUT',
      local,
      deploy({ mac_address: '00-00-00-00-00-01' }),
      200,
      '{"hosts":[{"name":"","configuration":"","rebooted":"NO"}]}',
    ],
    [
      'keys in any case',
      'PUT',
      local,
      '{"HOSTS":[{"NAME":"h1","MacAddress":"00:00:00:00:00:01"}],"more":1}',
      200,
      '{"hosts":[{"name":"h1","configuration":"","rebooted":"NO"}]}',
    ],
    ['no hosts', 'PUT', local, '{}', 200, '{"hosts":[]}'],
    ['an empty list', 'PUT', local, deploy(), 200, '{"hosts":[]}'],
    ['null', 'PUT', local, 'null', 200, '{"hosts":[]}'],
    ['no body', 'PUT', local, '', 400, ''],
    ['broken JSON', 'PUT', local, '{"hosts":[', 400, ''],
    ['hosts that are no list', 'PUT', local, '{"hosts":{}}', 400, ''],
    [
      'a deploy of an unknown configuration',
      'PUT',
      `${prefix}/configurations/gone/deploy`,
      deploy({ name: 'h1' }),
      404,
      message("Configuration 'gone' does not exists"),
    ],
    ['a host without name and MAC', 'PUT', local, deploy({ reboot: true }), 400, message('Either Name or MACAddress must be provided for each Host')],
    ['an unknown name', 'PUT', local, deploy({ name: 'x' }), 404, message('No host declared for name <x>')],
    [
      'an unknown MAC',
      'PUT',
      local,
      deploy({ macAddress: 'AA:00:00:00:00:01' }),
      404,
      message('No host declared with MAC address <aa:00:00:00:00:01>'),
    ],
    [
      'name and MAC of two hosts',
      'PUT',
      local,
      deploy({ name: 'h1', macAddress: '00:00:00:00:00:02' }),
      409,
      message('Host <h1> does not match MAC address <00:00:00:00:00:02>'),
    ],
    [
      'a name with an unknown MAC',
      'PUT',
      local,
      deploy({ name: 'h1', macAddress: '00:00:00:00:00:99' }),
      409,
      message('MAC address <00:00:00:00:00:99> does not match host <h1>'),
    ],
    [
      'a host twice',
      'PUT',
      local,
      deploy({ name: 'h1' }, { macAddress: '00:00:00:00:00:01' }),
      409,
      message('Host <h1> appears several times in query'),
    ],
    [
      'a configuration in a host',
      'PUT',
      local,
      deploy({ name: 'h1', configuration: 'z' }),
      409,
      message('Configuration attribute for a host in this context is not allowed'),
    ],
    [
      'a name that leads out',
      'GET',
      `${prefix}/configurations/..%2f..%2fpxe-pilot.yml`,
      undefined,
      404,
      message("Configuration '../../pxe-pilot.yml' does not exists"),
    ],
    ['two dots', 'PUT', `${prefix}/configurations/%2e%2e/deploy`, deploy({ name: 'h1' }), 404, '404 page not found'],
    ['a wrong status word', 'GET', `${prefix}/hosts?status=yes`, undefined, 400, ''],
    ['an unknown host switched', 'PATCH', `${prefix}/hosts/x/on`, undefined, 404, ''],
    ['a host without a switch', 'PATCH', `${prefix}/hosts/h3/on`, undefined, 409, ''],
    ['a host whose address is not known', 'PATCH', `${prefix}/hosts/h1/reboot`, undefined, 409, ''],
    ['an unknown route', 'GET', `${prefix}/nothing`, undefined, 404, '404 page not found'],
    ['a method that is not there', 'POST', `${prefix}/hosts`, '{}', 404, '404 page not found'],
  ]
  it.each(exchanges)('answers %s', async (_, method, url, body, status, text) => {
    const { call } = await open()
    const answer = await call(method, url, body)
    expect([answer.status, answer.text]).toEqual([status, text])
    if (text.startsWith('{') || text.startsWith('[')) expect(answer.type).toBe('application/json; charset=utf-8')
  })

  it('sends a trailing slash to the bare path', async () => {
    const { call } = await open()
    expect(await call('GET', `${prefix}/hosts/?status=0`)).toMatchObject({ status: 301, to: `${prefix}/hosts?status=0` })
    expect(await call('PUT', `${local}/`, '{}')).toMatchObject({ status: 307, to: local })
  })

  it('takes the call of the document as it is written, with the type of a form', async () => {
    const { call } = await open()
    const body = '{"hosts":[{"macAddress":"00:00:00:00:00:02"}]}'
    expect((await call('PUT', local, body, { 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(200)
    expect(linksOf()).toEqual({ '01-00-00-00-00-00-02': 'T/pxelinux.cfg/conf/pxelinux/local' })
  })
})

describe('deploys', () => {
  it('link the primary MAC to the configuration, the others to it, and change them in place', async () => {
    const { call } = await open()
    await call('PUT', '/v1/configurations/local/deploy', deploy({ name: 'h3' }))
    expect(linksOf()).toEqual({
      '01-00-00-00-00-00-31': 'T/pxelinux.cfg/conf/pxelinux/local',
      '01-00-00-00-00-00-32': 'T/pxelinux.cfg/01-00-00-00-00-00-31',
      '01-00-00-00-00-00-33': 'T/pxelinux.cfg/01-00-00-00-00-00-31',
    })
    await call('PUT', '/v1/configurations/z/deploy', deploy({ name: 'h3' }))
    expect(linksOf()['01-00-00-00-00-00-31']).toBe('T/pxelinux.cfg/conf/grub/z')
    expect(readFileSync(join(fixture.root, 'pxelinux.cfg/01-00-00-00-00-00-33'), 'utf8')).toMatch(/^# z/)
  })

  it('of configurations that lie flat, as before 0.6.0', async () => {
    const { call } = await open({ flat: true })
    expect((await call('GET', '/bootloaders')).text).toBe('null')
    await call('PUT', '/configurations/a/deploy', deploy({ name: 'h1' }))
    expect(linksOf()).toEqual({ '01-00-00-00-00-00-01': 'T/pxelinux.cfg/conf/a' })
  })

  it('are all or nothing over the hosts of a request', async () => {
    const { call } = await open()
    expect((await call('PUT', '/v1/configurations/local/deploy', deploy({ name: 'h1' }, { name: 'h2' }, { name: 'x' }))).status).toBe(404)
    expect(linksOf()).toEqual({})
    mkdirSync(join(fixture.root, 'pxelinux.cfg/01-00-00-00-00-00-02'))
    const half = await call('PUT', '/v1/configurations/local/deploy', deploy({ name: 'h1' }, { name: 'h2' }))
    expect([half.status, half.text]).toEqual([500, '{"Message":"Unable to create symlink","message":"Unable to create symlink"}'])
  })

  it('fifty at once leave every host with one whole answer', async () => {
    const { call } = await open()
    const names = ['local', 'sheep', 'a', 'b', 'c', 'grml', 'z']
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => call('PUT', `/v1/configurations/${names[index % 7]}/deploy`, deploy({ name: 'h1' }, { name: 'h3' }))),
    )
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    const links = linksOf()
    expect(links['01-00-00-00-00-00-01']).toBe(links['01-00-00-00-00-00-31'])
    expect(Object.keys(links)).toHaveLength(4)
    expect(readdirSync(join(fixture.root, 'pxelinux.cfg')).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('tell who made them', async () => {
    const { call } = await open()
    await call('PUT', '/v1/configurations/local/deploy', deploy({ name: 'h1' }), { authorization: 'Bearer bvc_right' })
    expect(JSON.parse((await call('GET', '/v1/hosts/h1/history')).text)).toEqual([{ at: 7, host: 'h1', configuration: 'local', by: 'anna' }])
  })

  it('need a token where that is said, and none of a page elsewhere', async () => {
    const { call } = await open({ needsToken: true })
    const send = (headers: Record<string, string>) => call('PUT', '/v1/configurations/local/deploy', deploy({ name: 'h1' }), headers)
    expect((await send({})).status).toBe(401)
    expect((await send({ authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await send({ authorization: 'Bearer bvc_right' })).status).toBe(200)
    expect((await send({ authorization: 'Bearer bvc_right', 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await send({ authorization: 'Bearer bvc_right', host: 'h:3478', origin: 'http://evil.example' })).status).toBe(403)
    expect((await send({ authorization: 'Bearer bvc_right', host: 'h:3478', origin: 'null' })).status).toBe(403)
    expect((await send({ authorization: 'Bearer bvc_right', host: 'h:3478', origin: 'http://h:3478' })).status).toBe(200)
  })
})

describe('hosts', () => {
  it('are listed with configuration and power, and never with a secret', async () => {
    const { call } = await open()
    await call('PUT', '/v1/configurations/grml/deploy', deploy({ name: 'h1' }))
    const cold = await call('GET', '/v1/hosts')
    expect(JSON.parse(cold.text).map((host: { powerState: string }) => host.powerState)).toEqual(['Unknown', 'Unknown', '', 'Unknown'])
    await call('PATCH', '/v1/refresh')
    const { text } = await call('GET', '/v1/hosts?status=true')
    expect(JSON.parse(text)).toMatchObject([
      {
        name: 'h1',
        configuration: { name: 'grml', bootloader: { name: 'grub' } },
        powerState: 'Off',
        ipmi: { hostname: '10.69.70.11', password: '' },
        management: null,
      },
      {
        name: 'h2',
        powerState: 'Off',
        management: {
          ipAddress: '10.69.70.12',
          adapter: 'mock',
          vars: [
            { name: 'user', value: '' },
            { name: 'password', value: '' },
          ],
        },
        ipmi: null,
      },
      { name: 'h3', macAddresses: ['00:00:00:00:00:31', '00:00:00:00:00:32', '00:00:00:00:00:33'], configuration: null, powerState: '' },
      { name: 'h4', powerState: 'Off' },
    ])
    expect(text).not.toMatch(/s3cret|pass word/)
    expect((await (await open({ showsSecrets: true })).call('GET', '/v1/hosts')).text).toMatch(/pass word.*s3cret/)
    expect(readFileSync(join(fixture.folder, 'ipmi-calls'), 'utf8')).not.toContain('pass word')
  })

  it('are switched; a reboot of one that is off switches it on', async () => {
    const { call } = await open()
    await call('PATCH', '/v1/refresh')
    const states = async () => JSON.parse((await call('GET', '/v1/hosts')).text).map((host: { powerState: string }) => host.powerState)
    expect((await call('PATCH', '/v1/hosts/h4/on')).status).toBe(204)
    expect((await call('PATCH', '/v1/hosts/h1/reboot')).status).toBe(204)
    expect(await states()).toEqual(['On', 'Off', '', 'On'])
    const answer = await call(
      'PUT',
      '/v1/configurations/local/deploy',
      deploy({ macAddress: '00:00:00:00:00:02', reboot: true }, { name: 'h3', reboot: true }),
    )
    expect(JSON.parse(answer.text).hosts.map((host: { rebooted: string }) => host.rebooted)).toEqual(['YES', 'ERROR'])
    expect((await call('PATCH', '/v1/hosts/h4/off')).status).toBe(204)
    expect(await states()).toEqual(['On', 'On', '', 'Off'])
  })

  it('with something else in the place of their link are told, and never stop a list', async () => {
    const { call, pilot } = await open()
    const folder = join(fixture.root, 'pxelinux.cfg')
    writeFileSync(join(folder, '01-00-00-00-00-00-01'), 'by hand')
    symlinkSync('conf/pxelinux/local', join(folder, '01-00-00-00-00-00-02'))
    symlinkSync('/nowhere/else', join(folder, '01-00-00-00-00-00-04'))
    const { status, text } = await call('GET', '/v1/hosts?status=false')
    expect([status, JSON.parse(text).map((host: { configuration: { name: string } | null }) => host.configuration?.name ?? null)]).toEqual([
      200,
      [null, 'local', null, null],
    ])
    expect(await pilot.oddities()).toEqual([
      { host: 'h1', odd: 'plain file' },
      { host: 'h4', odd: 'unknown target' },
    ])
    expect((await call('PUT', '/v1/configurations/local/deploy', deploy({ name: 'h1' }))).status).toBe(200)
    expect(lstatSync(join(folder, '01-00-00-00-00-00-01')).isSymbolicLink()).toBe(true)
  })

  it("are looked for by the file's own commands, which the original passes over", async () => {
    const own = (text: string) => `${text}discovery: { cmd: "touch ${fixture.folder}/own" }\narp: { cmd: "cat ${fixture.folder}/table" }\n`
    const { call } = await open({ config: own })
    writeFileSync(join(fixture.folder, 'table'), '? (10.69.70.13) at 00:00:00:00:00:a4 [ether] on eth0\n')
    await call('PATCH', '/v1/refresh')
    expect(lstatSync(join(fixture.folder, 'own')).isFile()).toBe(true)
    expect(JSON.parse((await call('GET', '/v1/hosts')).text)[3]).toMatchObject({ management: { ipAddress: '10.69.70.13' }, powerState: 'Off' })
  })
})

describe('the file', () => {
  it.each([
    [
      'a MAC twice',
      'hosts: [{name: a, mac_addresses: ["00:00:00:00:00:01"]}, {name: b, mac_addresses: ["000000000001"]}]',
      /MAC address 00:00:00:00:00:01 is there twice/,
    ],
    ['both ways of power', 'hosts: [{name: a, mac_addresses: ["00:00:00:00:00:01"], ipmi: {}, management: {adapter: x}}]', /has ipmi and management/],
    ['an adapter that is not there', 'hosts: [{name: a, mac_addresses: ["00:00:00:00:00:01"], management: {adapter: x}}]', /names the adapter x/],
    ['a host without MAC', 'hosts: [{name: a, mac_addresses: []}]', /mac_addresses/],
    ['what is no MAC', 'hosts: [{name: a, mac_addresses: [zz]}]', /not a MAC address/],
    ['a loader that leads out', 'hosts: []', /no name of a folder/],
  ])('with %s is refused', (what, hosts, reason) => {
    const loader = what.includes('loader') ? 'bootloaders: [{name: ../x, file: f, config_path: c}]' : ''
    const text = `${hosts}\ntftp: {root: /t}\nconfiguration:\n  directory: /t/c\n  ${loader}\n`
    expect(() => parsePilotConfig(text, 'p.yml')).toThrow(reason)
  })
})
