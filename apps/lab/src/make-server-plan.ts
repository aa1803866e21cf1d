import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { type Firmware } from '@byoi/bmc'
import { freePort } from './free-port.ts'
import { type CdBus, type DiskBus, type ServerPlan } from './server-plan.ts'

/** What the operator of a lab says about its servers. */
export interface ServerWish {
  firmware: Firmware
  secureBoot: boolean
  memoryMiB: number
  processors: number
  kvm: boolean
  bus: DiskBus
  cd: CdBus
  sectorSize: 512 | 4096
  /** Bytes, of the disk that deployments write. */
  diskSize: number
  netbootUrl: string
}

/** Bytes of the second disk, which nothing should ever touch. */
const otherDiskSize = 64 * 1024 * 1024

/**
 * Fills in what a server has of its own: addresses, serial numbers, ports, a BMC password.
 * @param folder Of the lab; the server's own is in it.
 */
export async function makeServerPlan(name: string, folder: string, wish: ServerWish): Promise<ServerPlan> {
  const { diskSize, ...rest } = wish
  const own = join(folder, name)
  const id = randomBytes(4).toString('hex')
  return {
    ...rest,
    name,
    folder: own,
    uuid: randomUUID(),
    // Locally administered, with QEMU's prefix.
    mac: ['52', '54', '00', ...(randomBytes(3).toString('hex').match(/../g) ?? [])].join(':'),
    disks: [
      { path: join(own, 'disk0.raw'), serial: `LAB${id}A`, size: diskSize },
      { path: join(own, 'disk1.raw'), serial: `LAB${id}B`, size: otherDiskSize },
    ],
    bmc: { user: 'byoi', password: randomBytes(8).toString('hex') },
    ports: {
      redfish: await freePort('tcp'),
      ipmi: await freePort('udp'),
      serial: await freePort('tcp'),
      ssh: await freePort('tcp'),
    },
  }
}
