// Cables that lose datagrams, for tests in namespaces: netem where the kernel has it, else a BPF filter that does the same.
import type { Lab } from './netns.ts'

/** Loads a random number, compares it, and says TC_ACT_SHOT (2) or TC_ACT_OK (0): `ld [rand]; jge #limit; ret #2; ret #0`. */
const program = (percent: number): string => `4,32 0 0 ${0xfffff038},53 0 1 ${Math.round(2 ** 32 * (1 - percent / 100))},6 0 0 2,6 0 0 0`.trim()

/**
 * From now on the device drops so many percent of what leaves it; 0 ends it. Answers by what means: small virtual machines have kernels
 * without netem, but with classifiers in BPF.
 */
export async function loseOn(lab: Lab, namespace: string, device: string, percent: number): Promise<'netem' | 'bpf' | 'nothing'> {
  const tc = async (...words: string[]) => (await lab.run(namespace, ['tc', ...words])).code === 0
  await tc('qdisc', 'del', 'dev', device, 'root')
  await tc('qdisc', 'del', 'dev', device, 'clsact')
  if (percent === 0) return 'nothing'
  if (await tc('qdisc', 'add', 'dev', device, 'root', 'netem', 'loss', `${percent}%`)) return 'netem'
  await tc('qdisc', 'add', 'dev', device, 'clsact')
  if (await tc('filter', 'add', 'dev', device, 'egress', 'bpf', 'da', 'bytecode', program(percent))) return 'bpf'
  throw new Error(`neither netem nor a BPF filter can be put on ${device}`)
}
