import type { AddressPolicy } from './source/address-policy.ts'
import type { DiskState } from './error.ts'

/** `vmdk`: streamOptimized. */
export type ImageType = 'qcow2' | 'raw' | 'ova' | 'vmdk'
export type CheckSumType = 'md5' | 'sha1' | 'sha256' | 'sha512'

export interface ImageRequest {
  /** http(s) URL, or a local path when `file` is true (only a person's `byoi write FILE`). */
  url: string
  file?: boolean
  type: ImageType
  httpHeader: { key: string; value: string }[]
  checkSum: { type: CheckSumType; value: string } | null
}

export interface TargetDisk {
  path: string
  /** Regular files only: the size that the file must have, in bytes; it is extended to it when shorter. Devices: must match. */
  size?: number
  /** Regular files only; devices tell their own. Default 512. */
  sectorSize?: 512 | 4096
}

/** Content of the config drive. See configdrive/. */
export interface ConfigDrive {
  instanceId: string
  hostname: string | null
  sshKey: string | null
  userData: Uint8Array | null
  userMetadatas: { key: string; value: string }[]
}

export type DeployPhase = 'preflight-disk' | 'write' | 'verify' | 'move-gpt' | 'config-drive' | 'publish'

/** Bytes of the image as served while writing, bytes read back while verifying. */
export interface DeployProgress {
  phase: DeployPhase
  bytesDone: number
  bytesTotal: number | null
}

export interface DeployOptions {
  image: ImageRequest
  disk: TargetDisk
  boot: 'uefi' | 'legacy' | null
  configDrive: ConfigDrive | null
  /** The image need not hold a partition table; nothing is moved or added. */
  dataDisk?: boolean
  addressPolicy: AddressPolicy
  /** RAM for image data whose place is not known yet, in bytes. */
  spoolBytes: number
  /** Asked just before the boot areas are written; rejects when publishing is not allowed. */
  permit?: () => Promise<void>
  onProgress?: (progress: DeployProgress) => void
  onLog?: (line: string) => void
  signal?: AbortSignal
}

export interface DeployResult {
  checkSum: string
  checkSumType: CheckSumType
  bytesServed: number
  virtualSize: number
  /** Bytes written to the disk, zeros not counted. */
  written: number
  seconds: number
  notes: string[]
  disk: DiskState
}
