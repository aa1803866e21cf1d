import assert from 'node:assert/strict'
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

describe("A server that starts only what Microsoft's keys vouch for, from its BMC's virtual CD", () => {
  let rig: Rig
  let server: VirtualServer
  let secondDisk: string

  before(async () => {
    rig = await Rig.open()
    const disks = ['--bus', 'nvme', '--sector-size', '4096']
    server = await rig.server('--secure-boot', '--way', 'virtual-media', '--memory', '1024', ...disks)
    secondDisk = await fillSecondDisk(server)
  })
  after(() => rig.close())

  test('gets an image onto an NVMe disk with sectors of 4096 bytes, its config drive in FAT', async () => {
    const key = await makeSshKey(rig.folder)
    const { path } = await debianImage({ layout: { table: 'gpt', sectorSize: 4096 } })
    const request = provenRequest(await rig.serve(path), await sha256(path), 'node-3', key)
    assertOwnWords(server, await deployAndListen(server, request), {
      hostname: 'node-3',
      key: key.blob,
      table: 'gpt',
      drive: 'vfat',
      firmware: 'uefi',
      'secure-boot': '1',
    })
  })

  test('was under Secure Boot while the agent ran, too', async () => {
    const { found } = JSON.parse(await rig.lab.operator('server', 'show', server.name, '--json')) as {
      found: { machine: { secureBoot: boolean } }
    }
    assert.equal(found.machine.secureBoot, true)
  })

  test('has no medium in its drive any more, and its second disk as it was', async () => {
    assert.equal((await rig.lab.status(server.name)).machine?.medium, null)
    await assertSecondDiskUntouched(server, secondDisk)
  })
})
