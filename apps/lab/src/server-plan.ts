import { type Firmware } from '@byoi/bmc'

/** The bus that a server's disks hang on. */
export const diskBuses = ['virtio', 'nvme', 'sata'] as const
export type DiskBus = (typeof diskBuses)[number]

/** What the BMC's virtual CD drive looks like to the server. */
export const cdBuses = ['ide', 'usb'] as const
export type CdBus = (typeof cdBuses)[number]

export interface DiskPlan {
  /** A raw, sparse file. */
  path: string
  serial: string
  /** Bytes. */
  size: number
}

/** All that one virtual server is made of, decided once by `lab up` and kept in the server's folder. */
export interface ServerPlan {
  /** As the control plane knows it. */
  name: string
  /** Holds the disks, UEFI variables, sockets and logs; absolute. */
  folder: string
  uuid: string
  /** Lower case, colons. */
  mac: string
  firmware: Firmware
  /** Verifies what is booted with Microsoft's keys; UEFI only. */
  secureBoot: boolean
  memoryMiB: number
  processors: number
  /** KVM instead of emulation. */
  kvm: boolean
  bus: DiskBus
  cd: CdBus
  sectorSize: 512 | 4096
  /** The first one is the target of deployments. */
  disks: DiskPlan[]
  /** What a start from the network fetches: an iPXE script. */
  netbootUrl: string
  bmc: { user: string; password: string }
  /** Of the host's loopback: `serial` and `ssh` TCP, `ipmi` UDP, `redfish` TCP. `ssh` leads to the server's port 22. */
  ports: { redfish: number; ipmi: number; serial: number; ssh: number }
}
