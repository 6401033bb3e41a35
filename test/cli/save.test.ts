// `bivouac save` against a running server, and what it lets in.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { type CliFolder, createCliFolder } from '../support/cli.ts'
import { goodOverlay } from '../support/overlay.ts'

let folder: CliFolder
afterEach(() => folder.remove())

/** A dozen processes, one after the other, on a machine that may be busy. */
const patience = 120_000

it(
  'opens, lists and closes a configuration phase',
  async () => {
    folder = createCliFolder()
    mkdirSync(join(folder.path, 'depot/stations'), { recursive: true })
    writeFileSync(join(folder.path, 'depot/stations/kiosk-1.yaml'), 'macs: [52:54:00:12:34:56]\n')
    const server = await folder.serve()
    const [, token = ''] = /operator token, shown only now: (\S+)/.exec(server.output()) ?? []
    const run = (...words: string[]) => folder.run('--server', server.base, '--token', token, ...words)
    const send = (url: string, body = goodOverlay('kiosk-1')) => fetch(url, { method: 'PUT', body: body as Uint8Array<ArrayBuffer> })

    expect(run('save', 'open', 'kiosk-1', '--for', '1h', '--dry-run').stdout).toBe('would open kiosk-1 (52:54:00:12:34:56) for 1 h\n')
    expect(run('save', 'list').stdout).toBe('no configuration phase is open\n')
    expect(folder.run('--server', server.base, 'save', 'open', 'kiosk-1')).toMatchObject({ code: 2, stderr: expect.stringContaining('token') })
    expect(run('save', 'open', 'kiosk-1', '--for', 'long')).toMatchObject({ code: 2, stderr: expect.stringContaining('no length of time') })

    const opened = JSON.parse(run('--json', 'save', 'open', 'kiosk-1', '--for', '1h').stdout)
    expect(opened).toMatchObject({ station: 'kiosk-1', command: `wget -O- ${server.base}/save | sh` })
    expect(run('save', 'list').stdout).toMatch(/kiosk-1 +52:54:00:12:34:56 .*59 min/)
    const url = `${server.base}/save/${opened.token}/52-54-00-12-34-56.tar.gz`
    expect((await send(url, goodOverlay('kiosk-1').subarray(0, 100))).status).toBe(400)
    const answer = await send(url)
    expect([answer.status, (await answer.text()).split('\n')[2]]).toEqual([201, 'path=configs/52-54-00-12-34-56.tar.gz'])
    expect(readFileSync(join(folder.path, 'depot/configs/52-54-00-12-34-56.tar.gz')).equals(Buffer.from(goodOverlay('kiosk-1')))).toBe(true)

    expect(run('save', 'close', 'kiosk-1', '--dry-run').stdout).toBe('would close kiosk-1\n')
    expect(run('save', 'close', '52:54:00:12:34:56').stdout).toBe('closed: kiosk-1\n')
    expect(run('save', 'close', 'kiosk-1').stdout).toBe('nothing was open\n')
    expect((await send(url)).status).toBe(403)
    const events = run('events', '--kind', 'saved', 'save-refused').stdout
    expect(events).toMatch(/save-refused.*\n.* saved .*\n.*save-refused.*no configuration phase/)
    expect(events + server.output() + readFileSync(join(folder.path, 'state/events.jsonl'), 'utf8')).not.toContain(opened.token)
  },
  patience,
)
