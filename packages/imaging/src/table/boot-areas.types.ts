/**
 * What the partition code needs and gives. The first and the last MiB of the disk are the boot areas: they are written
 * last. All offsets and lengths in bytes.
 */
export const BOOT_AREA = 1024 * 1024

export interface BootAreasInput {
  /** Size of the decoded image. */
  imageSize: number
  diskSize: number
  sectorSize: 512 | 4096
  /** Bytes that the config drive needs as a partition at the end of the disk; 0 for none. */
  configDriveBytes: number
  /** The partition that ends last is to reach to the end of the disk, or to the config drive. */
  growLastPartition?: boolean
  /** Reads the decoded image (zero beyond its mapped parts). Never past `imageSize`. */
  read(offset: number, length: number): Promise<Uint8Array>
}

export interface BootAreas {
  /** What goes to the first MiB of the disk. */
  head: Uint8Array
  /** What goes to the last MiB of the disk: image data that reaches there, with the backup GPT at its end. */
  tail: Uint8Array
  /** Where the config drive goes; null when `configDriveBytes` is 0. Lies outside both boot areas. */
  configDrive: { offset: number; length: number } | null
  /** The end of a partition that was grown: it must read zero before the disk is published. Lies outside both boot areas. */
  wipe: { offset: number; length: number } | null
  table: TableSummary
  /** Things repaired or kept that a reader should know, one sentence each. */
  notes: string[]
}

/** The image's own bytes of the boot areas, in which the plan changes what the disk needs. */
export type ImageAreas = Pick<BootAreas, 'head' | 'tail'>

export interface TableSummary {
  kind: 'gpt' | 'mbr' | 'none'
  partitions: PartitionSummary[]
}

export interface PartitionSummary {
  /** 1-based slot. */
  number: number
  offset: number
  length: number
  /** GPT: type GUID in lower case; MBR: type byte as two hex digits. */
  type: string
  name: string
}
