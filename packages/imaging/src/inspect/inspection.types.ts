import type { BootCode } from '../boot/boot-code.ts'
import type { EfiLoader } from '../boot/efi-loaders.ts'
import type { Bus } from '../boot/kernels.ts'
import type { EfiSystemPartition, ImageRequest, ImageType } from '../deploy-image.types.ts'
import type { ImagingError } from '../error.ts'
import type { VolumeIdentity } from '../filesystem/superblocks.ts'
import type { AddressPolicy } from '../source/address-policy.ts'
import type { PartitionSummary, TableSummary } from '../table/boot-areas.types.ts'
import type { Packing } from '../unpack/packing.ts'

export interface InspectOptions {
  /** `type` null: what its first bytes say. */
  image: Omit<ImageRequest, 'type' | 'checkSum'> & { type: ImageType | null }
  boot: 'uefi' | 'legacy' | null
  /** What the target disk hangs on; null: not asked. */
  bus: Bus | null
  /** Bytes; null: a disk on which the image fits. */
  diskSize?: number | null
  sectorSize?: 512 | 4096
  addressPolicy: AddressPolicy
  signal?: AbortSignal
}

/** What an image is, and whether it would deploy and boot. Offsets and lengths in bytes of the decoded image. */
export interface Inspection {
  format: ImageType
  /** How the served file is packed around the image. */
  packing: Packing | null
  /** Bytes; null where the server does not tell. */
  virtualSize: number | null
  bytesServed: number | null
  /** Bytes of the decoded image that the file holds data for; null where the format does not tell beforehand. */
  bytesAllocated: number | null
  /** What looking at the image took. */
  fetched: Fetched
  /** Reads at any place of the file are possible; without, only the head of the stream was looked at. */
  ranged: boolean
  clusterSize: number | null
  /** Of clusters inside the image; null where none is compressed. */
  compression: 'deflate' | 'zstd' | null
  /** Null where the partition table could not be looked at, or cannot be used. */
  table: (Omit<TableSummary, 'partitions'> & { partitions: InspectedPartition[] }) | null
  /** Of an image without a partition table; else null. */
  fileSystem: VolumeIdentity | null
  hasEfiSystemPartition: boolean | null
  /** What is on the EFI system partitions, the loader to start first in front; null where they could not be looked at. */
  efi: (EfiSystemPartition & { loaders: EfiLoader[] })[] | null
  hasBiosBootCode: boolean | null
  /** Whose BIOS boot code it is; null where there is none, or it could not be looked at. */
  biosBootCode: BootCode | null
  /** File names of Linux kernels in /boot, where that is ext2, ext3 or ext4; null where it could not be looked at. */
  kernels: string[] | null
  /** What the kernel is told of consoles, by the boot loader's files that could be read. */
  consoles: KernelConsoles[]
  /** Null where no root file system could be read. */
  cloudInit: CloudInit | null
  /** Number of the partition that the image brings as a config drive. */
  configPartition: number | null
  /** The disk that was asked about; null: none was. */
  target: InspectedDisk | null
  verdicts: { fits: Verdict | null; boots: Verdict | null }
  /** What will be repaired or kept. */
  notes: string[]
  /** What would deploy, but probably not do what is wanted. */
  warnings: string[]
}

/** Ranged reads, or one stream, and their bytes; the request that opens the image is not counted. */
export interface Fetched {
  reads: number
  bytes: number
}

export interface InspectedPartition extends PartitionSummary {
  /** What the type is called; null where that is not known here. */
  typeName: string | null
  /** Null: empty, not known here, or it could not be looked at. */
  fileSystem: VolumeIdentity | null
  /** Why its files were not looked at: its file system, or what is wrong with it; null where they were, or there are none. */
  notLookedInto: string | null
}

export interface KernelConsoles {
  /** Number of the partition; 0: the whole image. */
  partition: number
  path: string
  /** Values of `console=`, in the order of the command line: the kernel writes to each, and reads from the last. */
  consoles: string[]
}

export interface CloudInit {
  /** Number of the partition; 0: the whole image. */
  partition: number
  isInstalled: boolean
  /** A file keeps it from starting: /etc/cloud/cloud-init.disabled. */
  isDisabled: boolean
  /** `datasource_list`, as far as it is set; null: cloud-init's own, which has ConfigDrive. */
  dataSources: string[] | null
}

export interface InspectedDisk {
  size: number
  sectorSize: 512 | 4096
  /** Bytes behind the last partition, before the last MiB; null where the image does not fit or is not known. */
  free: number | null
  /** Where a config drive of 1 MiB goes; null where there is no place for one. */
  configDrive: { offset: number; length: number } | null
}

/** `cause` and `remedy`: one sentence each. */
export interface Verdict {
  answer: 'yes' | 'no' | 'unknown'
  cause: string
  remedy: string | null
}

/** What was found, and what deployImage would refuse the image with before it touches a disk; null: nothing. */
export interface Inspected {
  found: Inspection
  refusal: ImagingError | null
}
