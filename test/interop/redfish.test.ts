// Redfish over TLS as controllers have it: a certificate that nobody signed is refused with a hint, taken when told; a wrong password, a dead controller.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRedfish } from '../../src/power/redfish.ts'
import { describeWith } from '../support/tool.ts'

describeWith(['openssl'], 'a controller of Redfish', () => {
  let folder: string
  let server: Server
  let url: string
  const system = { power: 'Off', boot: 'None' }
  const path = '/redfish/v1/Systems/1'

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bivouac-redfish-'))
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=bmc'], {
      stdio: 'ignore',
    })
    server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      let text = ''
      request.on('data', (chunk: Buffer) => {
        text += chunk
      })
      request.on('end', () => {
        if (request.headers.authorization !== `Basic ${Buffer.from('root:s3cret').toString('base64')}`) return response.writeHead(401).end('{}')
        const body = text ? (JSON.parse(text) as Record<string, never>) : {}
        if (request.method === 'POST') system.power = body.ResetType === 'ForceOff' ? 'Off' : 'On'
        if (request.method === 'PATCH') system.boot = (body.Boot as unknown as Record<string, string>).BootSourceOverrideTarget ?? ''
        if (request.method !== 'GET') return response.writeHead(204).end()
        const answer = request.url === path ? { PowerState: system.power } : { Members: [{ '@odata.id': path }] }
        return response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
      })
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
    rmSync(folder, { recursive: true, force: true })
  })

  const open = (password = 's3cret', verifyTls = false, at = url) => createRedfish({ url: at, user: 'root', password, verifyTls })

  it('is not believed with a certificate that nobody signed, and told what to do', async () => {
    const error = await open('s3cret', true)
      .status()
      .catch((caught: Error) => caught)
    expect(error).toMatchObject({
      code: 'power-unreachable',
      mayRetry: false,
      message: expect.stringMatching(/NODE_EXTRA_CA_CERTS\), or set verifyTls: false/),
    })
    expect(String(error)).not.toContain('s3cret')
  })

  it('is switched where verifyTls is false', async () => {
    const machine = open()
    expect(await machine.status()).toBe('off')
    await machine.bootFrom?.('network')
    await machine.act('cycle')
    expect([await machine.status(), system.boot]).toEqual(['on', 'Pxe'])
    await machine.act('off')
    expect(await machine.status()).toBe('off')
  })

  it('refuses a wrong password, which stands in no message', async () => {
    const error = await open('wr0ng')
      .status()
      .catch((caught: Error) => caught)
    expect(error).toMatchObject({ code: 'power-login' })
    expect(String(error)).not.toContain('wr0ng')
  })

  it('that is dead is told within a few seconds', async () => {
    await expect(open('s3cret', false, 'https://127.0.0.1:1').status()).rejects.toMatchObject({ code: 'power-unreachable', mayRetry: true })
  })
})
