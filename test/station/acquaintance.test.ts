// What stations tell of themselves is remembered: bounded, cleaned, merged over DHCP and script, and no laptop is taken for a station.
import { describe, expect, it } from 'vitest'
import type { Mac } from '../../src/boot/address.ts'
import { indexRecords } from '../../src/boot/record.ts'
import { listStations } from '../../src/http/view.ts'
import { createAcquaintances } from '../../src/station/acquaintance.ts'

const mac = '52:54:00:00:00:01' as Mac

describe('acquaintances', () => {
  it('keep what DHCP and the script told, the newest word of each', () => {
    let at = 1
    const heard = createAcquaintances({ now: () => at++ })
    heard.meetClient({ mac, stage: 'firmware', archs: [7, 9], vendorClass: 'PXEClient:Arch:00007', uuid: 'u1' })
    heard.meetFacts(mac, { manufacturer: 'ACME', product: 'Box\u001b[2J', serial: 'x'.repeat(500) })
    heard.meetFacts(mac, {})
    const { serial = '', ...said } = heard.find(mac) ?? { at: 0 }
    expect(said).toEqual({ at: 2, arch: 7, vendorClass: 'PXEClient:Arch:00007', uuid: 'u1', manufacturer: 'ACME', product: 'Box?[2J' })
    expect(serial).toHaveLength(128)
  })

  it('forget who was heard longest ago, and do not know running systems', () => {
    const heard = createAcquaintances({ now: () => 0, maxEntries: 2 })
    const macs = [1, 2, 3].map((number) => `52:54:00:00:00:0${number}` as Mac)
    for (const one of macs) heard.meetFacts(one, { product: 'p' })
    heard.meetClient({ mac: '52:54:00:00:00:99' as Mac, stage: 'system', archs: [] })
    expect(heard.macs()).toEqual(macs.slice(1))
  })

  it('stand in the list of stations, also where no event is left of them', () => {
    const heard = createAcquaintances({ now: () => 5 })
    heard.meetFacts(mac, { manufacturer: 'ACME' })
    expect(listStations(indexRecords([], [], []), [], [], heard)).toMatchObject([
      { name: null, macs: [mac], hasRecord: false, said: { manufacturer: 'ACME', at: 5 } },
    ])
  })
})
