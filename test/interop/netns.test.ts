// The laboratory itself: if this fails, so will every other test with namespaces.
import { execFileSync } from 'node:child_process'
import { afterAll, expect, it } from 'vitest'
import { createLab } from '../support/netns.ts'
import { describeWith } from '../support/tool.ts'

describeWith(['root', 'ip', 'busybox'], 'a lab', () => {
  const lab = createLab('lab-')
  const [left, switchRoom, right] = [lab.namespace('left'), lab.namespace('switch'), lab.namespace('right')]
  afterAll(lab.close)

  it('joins namespaces through a bridge', async () => {
    lab.veth({ namespace: left, name: 'eth0', address: '10.9.0.1/24' }, { namespace: switchRoom, name: 'p1' })
    lab.veth({ namespace: right, name: 'eth0', address: '10.9.0.2/24', mac: '52:54:00:00:00:02' }, { namespace: switchRoom, name: 'p2' })
    lab.bridge(switchRoom, 'br0', ['p1', 'p2'])
    expect(lab.ip(right, 'link', 'show', 'eth0')).toContain('52:54:00:00:00:02')
    const { code, stdout } = await lab.run(left, ['busybox', 'ping', '-c', '1', '-W', '5', '10.9.0.2'])
    expect(stdout).toContain('1 packets received')
    expect(code).toBe(0)
  })

  it('carries VLANs', async () => {
    lab.trunk({ namespace: left, name: 'trunk' }, { namespace: right, name: 'trunk' }, [7, 8])
    lab.address(left, 'trunk.7', '10.7.0.1/24')
    lab.address(right, 'trunk.7', '10.7.0.2/24')
    expect((await lab.run(left, ['busybox', 'ping', '-c', '1', '-W', '5', '10.7.0.2'])).code).toBe(0)
    expect(lab.ip(right, 'link', 'show')).toContain('trunk.8')
  })

  it('tells what a program wrote and how it ended', async () => {
    expect(await lab.run(left, ['sh', '-c', 'cat; echo bad >&2; exit 3'], { input: 'good' })).toEqual({ code: 3, stdout: 'good', stderr: 'bad\n' })
    const running = lab.spawn(left, ['sh', '-c', 'echo ready; exec sleep 60'])
    await running.waitFor(/ready/)
    await running.stop()
    expect(await running.exited).toBe(null)
    await expect(lab.spawn(left, ['sh', '-c', 'echo nothing']).waitFor(/something/)).rejects.toThrow('nothing')
  })

  it('leaves nothing behind', async () => {
    const other = createLab('gone-')
    const name = other.namespace('room')
    other.spawn(name, ['sleep', '60'])
    await other.close()
    expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).not.toContain(name)
  })
})
