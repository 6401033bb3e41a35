// Rescue entries by hand: each file that the image fetches is named when it is not there.
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { lintHandRescue, listRescueRoots, rescueFiles } from '../../src/config/hand-rescue.ts'
import { loadConfig } from '../../src/config.ts'
import { makeScratch } from '../support/scratch.ts'

async function makeSite(url: string) {
  const depot = await makeScratch()
  const cwd = await makeScratch()
  await mkdir(join(depot, 'pxelinux.cfg'))
  await mkdir(join(depot, 'images'))
  await writeFile(join(depot, 'pxelinux.cfg/911boot'), `DEFAULT 1\nLABEL 1\n  append root=none ip=dhcp fullroot=${url}\n`)
  for (const name of rescueFiles) await writeFile(join(depot, 'images', name), 'x')
  await writeFile(join(cwd, 'bivouac.yaml'), `depot: ${depot}\nhttp: {url: "http://10.9.0.1:8080"}\n`)
  return { depot, config: loadConfig({ flags: {}, env: {}, cwd }).config }
}

it.each(rescueFiles)('names %s', async (name) => {
  const { depot, config } = await makeSite('http://10.9.0.1:8080/images')
  expect(lintHandRescue(config)).toEqual([])
  await rm(join(depot, 'images', name))
  expect(lintHandRescue(config)).toMatchObject([{ code: 'rescue-file-missing', file: 'pxelinux.cfg/911boot', line: 3 }])
  expect(lintHandRescue(config)[0]?.message).toContain(`images/${name}`)
})

it('does not judge another server by our depot', async () => {
  const { config } = await makeSite('http://10.9.0.99/elsewhere')
  expect(listRescueRoots(config)).toEqual([{ file: 'pxelinux.cfg/911boot', line: 3, url: 'http://10.9.0.99/elsewhere' }])
  expect(lintHandRescue(config)).toEqual([])
})
