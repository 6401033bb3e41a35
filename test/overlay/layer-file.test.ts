import { describe, expect, it } from 'vitest'
import { readLayerFile } from '../../src/overlay/layer-file.ts'
import { seededRandom } from '../support/random.ts'

const read = (text: string) => readLayerFile(text, 'overlays/base/layer.yaml')
const mistakes = (text: string): string[] => {
  const outcome = read(text)
  return 'value' in outcome ? [] : outcome.mistakes.map(({ line, code, path }) => `${line} ${code} ${path ?? ''}`.trim())
}

const whole = `description: what every kiosk has
extends: [common]
packages: [openssh, "nginx~1.26", "!busybox-extras", tool@edge]
services: { boot: [networking], default: [sshd] }
remove: { files: [etc/motd], packages: [htop], services: [boot/syslog] }
files:
  /etc/motd: { content: "hi\\n", mode: 0644, owner: 0:42 }
  etc/key: { secret: vpn }
  etc/link: { link: ../run/x }
  var/x: { folder: true, mode: "1777" }
repositories: ["http://m/v3.22/main", "@edge https://m/edge/testing"]
keys: [site.rsa.pub]
hostname: kiosk
sshKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVyeXNlY3JldGtleXZlcnlz me"]
root: locked
defaultServices: false
`

describe('layer.yaml', () => {
  it('says all that it can say', () => {
    const outcome = read(whole)
    expect(outcome).toMatchObject({
      value: {
        extends: ['common'],
        services: { boot: ['networking'], default: ['sshd'] },
        files: {
          'etc/motd': { mode: 0o644, owner: { uid: 0, gid: 42 } },
          'var/x': { mode: 0o1777, folder: true },
        },
        root: 'locked',
      },
    })
  })

  it('may be empty', () => {
    expect(read('')).toHaveProperty('value')
    expect(read('# nothing\n')).toHaveProperty('value')
  })

  it.each<[string, string]>([
    ['pakages: [a]', '1 unknown-key pakages'],
    ['packages:\n  - good\n  - two words', '3 bad-value packages[1]'],
    ['services:\n  bot: [x]', '2 unknown-key services.bot'],
    ['services: { boot: [../x] }', '1 bad-value services.boot[0]'],
    ['files: { motd: { content: x } }', '1 bad-key files.motd'],
    ['files:\n  etc/../x: { content: x }', '2 bad-key files.etc/../x'],
    ['files: { etc/x: { content: a, link: b } }', '1 bad-value files.etc/x'],
    ['files: { etc/x: {} }', '1 bad-value files.etc/x'],
    ['files: { etc/x: { mode: "999" } }', '1 bad-value files.etc/x.mode'],
    ['files: { etc/x: { mode: 0o644 } }', '1 bad-value files.etc/x.mode'],
    ['files: { etc/x: { owner: "root:root" } }', '1 bad-value files.etc/x.owner'],
    ['root: "secret1234"', '1 bad-value root'],
    ['hostname: a_b', '1 bad-value hostname'],
    ['keys: [../../etc/passwd.pub]', '1 bad-value keys[0]'],
    ['sshKeys: [not a key]', '1 bad-value sshKeys[0]'],
    ['repositories: ["ftp://x"]', '1 bad-value repositories[0]'],
    ['a: [', '1 yaml'],
    ['- list', '1 wrong-type'],
  ])('tells the place and kind of a mistake: %j', (text, said) => {
    expect(mistakes(text)).toContain(said)
  })

  it('answers mistakes or a value, and throws nothing, for 5,000 spoiled texts', () => {
    const random = seededRandom(11)
    let bad = 0
    for (let round = 0; round < 5000; round++) {
      const bytes = Buffer.from(whole)
      for (let turn = 0; turn < 1 + random() * 5; turn++) bytes[Math.floor(random() * bytes.length)] = 32 + Math.floor(random() * 95)
      const outcome = read(bytes.toString('utf8'))
      if ('mistakes' in outcome) {
        bad++
        expect(outcome.mistakes.length).toBeGreaterThan(0)
      } else for (const path of Object.keys(outcome.value.files)) expect(path).toMatch(/^(?!\/)(?!.*(^|\/)\.\.?(\/|$)).*\/./)
    }
    expect(bad).toBeGreaterThan(1000)
  })
})
