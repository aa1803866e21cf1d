import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeServerPlan, type ServerWish } from './make-server-plan.ts'
import { QemuMachine } from './qemu-machine.ts'
import { SerialLine } from './serial-line.ts'
import { type ServerPlan } from './server-plan.ts'
import { bootSector } from './testing/boot-sector.ts'
import { absentPrograms, smallServer, waitFor } from './testing/judges.ts'

const skip = absentPrograms('/usr/bin/qemu-system-x86_64', '/usr/share/OVMF/OVMF_CODE_4M.fd')

describe('Each kind of server', { skip }, () => {
  let folder: string
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'byoi-lab-'))))
  after(() => rm(folder, { recursive: true, force: true }))

  /** A server whose first disk holds a boot sector; gives what it says until `heard` takes it. */
  async function turnedOn(name: string, wish: Partial<ServerWish>, heard: (text: string) => boolean) {
    const plan: ServerPlan = await makeServerPlan(name, folder, { ...smallServer, ...wish })
    await mkdir(plan.folder)
    await writeFile(plan.disks[0]!.path, bootSector('from the disk', 'halt'))
    for (const disk of plan.disks)
      await truncate(disk.path, disk.size).catch(() => writeFile(disk.path, Buffer.alloc(disk.size)))
    const log = join(plan.folder, 'serial.log')
    const line = await SerialLine.open(plan.ports.serial, log)
    const machine = new QemuMachine(plan, line.machinePort, () => undefined)
    try {
      await machine.act('on')
      return await waitFor(name, async () => {
        const text = await readFile(log, 'latin1')
        return heard(text) ? text : undefined
      })
    } finally {
      await machine.act('off')
      await line.close()
    }
  }

  for (const bus of ['virtio', 'nvme', 'sata'] as const) {
    test(`legacy, ${bus}: SeaBIOS starts the first disk`, async () => {
      await turnedOn(`legacy-${bus}`, { bus }, (text) => text.includes('from the disk'))
    })
  }

  const uefi: (Partial<ServerWish> & { name: string })[] = [
    { name: 'uefi-virtio', bus: 'virtio' },
    { name: 'uefi-4096', bus: 'virtio', sectorSize: 4096 },
    { name: 'uefi-nvme-4096', bus: 'nvme', sectorSize: 4096 },
    { name: 'uefi-secure', secureBoot: true, bus: 'sata' },
  ]
  for (const { name, ...wish } of uefi) {
    test(`${name}: OVMF starts, and finds nothing on the first disk`, async () => {
      const text = await turnedOn(name, { ...wish, firmware: 'uefi', memoryMiB: 256 }, (all) =>
        /BdsDxe: (?:failed to load|No bootable option)/.test(all),
      )
      assert.match(text, /BdsDxe: loading Boot|BdsDxe: failed to load Boot/)
    })
  }
})
