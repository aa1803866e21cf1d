import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { debianImage } from '../../scripts/debian-image.ts'
import { makeSshKey } from '../../scripts/lab/ssh.ts'
import { type VirtualServer } from '../../scripts/lab/virtual-lab.ts'
import {
  assertOwnWords,
  assertSecondDiskUntouched,
  deployAndListen,
  fillSecondDisk,
  provenRequest,
  Rig,
  sha256,
} from './support.ts'

describe('A server with a BIOS, called by IPMI and started from the network', () => {
  let rig: Rig
  let server: VirtualServer
  let secondDisk: string

  before(async () => {
    rig = await Rig.open()
    server = await rig.server('--boot', 'legacy', '--bmc', 'ipmi', '--memory', '768')
    secondDisk = await fillSecondDisk(server)
  })
  after(() => rig.close())

  test('gets an image with an MBR, its agent on an address that no DHCP gave', async () => {
    const network = {
      ports: [server.plan.mac],
      bond: null,
      vlan: null,
      mtu: null,
      ipv4: { method: 'static', address: '10.0.2.77/24', gateway: '10.0.2.2' },
      ipv6: { method: 'none' },
      nameservers: [],
    }
    const file = join(rig.folder, 'network.json')
    await writeFile(file, JSON.stringify(network))
    await rig.lab.operator('server', 'set', server.name, '--network', file)

    const key = await makeSshKey(rig.folder)
    const { path } = await debianImage({ layout: { table: 'mbr', sectorSize: 512 } })
    const request = provenRequest(await rig.serve(path), await sha256(path), 'node-2', key)
    assertOwnWords(server, await deployAndListen(server, request), {
      hostname: 'node-2',
      key: key.blob,
      table: 'dos',
      drive: 'iso9660',
      firmware: 'legacy',
      'secure-boot': '',
    })
    assert.match(await server.serial(), /byoi: eth0: 10\.0\.2\.77\/24/)
  })

  test('has its console recorded by serial over LAN', async () => {
    const { id } = await server.view()
    const { text } = await rig.lab.client.call('GET', `/byoi/deployment/${id}/serial`)
    for (const part of ['byoi: Joined.', 'byoi-proof end']) assert.ok(text.includes(part), part)
  })

  test('has its second disk as it was', () => assertSecondDiskUntouched(server, secondDisk))
})
