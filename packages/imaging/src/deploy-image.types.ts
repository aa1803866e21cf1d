import type { AddressPolicy } from './source/address-policy.ts'
import type { DiskState } from './error.ts'

/** `vmdk`: streamOptimized. */
export type ImageType = 'qcow2' | 'raw' | 'ova' | 'vmdk'
export type CheckSumType = 'md5' | 'sha1' | 'sha256' | 'sha512'

/**
 * A small file beside the image: an http(s) URL, or a local path when `file` is true. The image's headers are sent along only
 * where its origin is the image's.
 */
export interface FileBeside {
  url: string
  file?: boolean
}

/**
 * Public keys, of minisign or OpenPGP as `readSigningKey` of the signing package reads them. One of them must have signed.
 */
type PublicKeys = string[]

/** A file that lists checksums, such as SHA256SUMS. */
export interface SumsRequest extends FileBeside {
  /** The image's name in it; null: the last part of the image's URL. */
  name: string | null
  /** Empty: the list is believed as it is served. Else it must be signed, beside it by `signature` or in itself (clear-signed). */
  keys: PublicKeys
  signature: FileBeside | null
}

/** A signature over the image as served. */
export interface SignatureRequest extends FileBeside {
  keys: PublicKeys
}

export interface ImageRequest {
  /** http(s) URL, or a local path when `file` is true (only a person's `byoi write FILE`). */
  url: string
  file?: boolean
  type: ImageType
  httpHeader: { key: string; value: string }[]
  checkSum: { type: CheckSumType; value: string } | null
  /** Where to take the checksum from; `checkSum` is null then. */
  sums?: SumsRequest | null
  signature?: SignatureRequest | null
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
  /** http(s) URL at which cloud-init tells, as vendor data, that the system has booted; null: it is not asked to. */
  phoneHomeUrl: string | null
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
  /**
   * More disks that get the same image, each verified on its own; the smallest limits the image, and their sectors must have the
   * same size. Nothing keeps the disks equal afterwards.
   */
  mirrors?: TargetDisk[]
  /** The server's firmware: an image that it cannot boot is refused. null: whether it boots is not asked. */
  boot: 'uefi' | 'legacy' | null
  /**
   * The loader that a UEFI server is to start, a path on the EFI system partition like `\efi\debian\grubx64.efi`: either
   * slash, any case. null: the one that is found first.
   */
  efiBootloaderPath: string | null
  /** What the target disk hangs on (virtio, nvme, sata, sas, usb); null or another word: not known. */
  transport: string | null
  configDrive: ConfigDrive | null
  /** The image need not hold a partition table; nothing is moved or added. */
  dataDisk?: boolean
  /**
   * The partition that ends last on the disk is to reach to its end, or to the config drive: in the partition table only.
   * Without effect on a data disk.
   */
  growLastPartition?: boolean
  addressPolicy: AddressPolicy
  /** RAM for image data whose place is not known yet, in bytes. */
  spoolBytes: number
  /** How many threads hash, decode, write and read back, from 1 on; default: by processors and memory, 2 to 8. */
  threads?: number
  /** Asked just before the boot areas are written; rejects when publishing is not allowed. */
  permit?: () => Promise<void>
  onProgress?: (progress: DeployProgress) => void
  onLog?: (line: string) => void
  signal?: AbortSignal
}

/** An EFI system partition on the target disk. LBAs and lengths in sectors of the disk. */
export interface EfiSystemPartition {
  /** 1-based slot of the partition table. */
  number: number
  /** Unique partition GUID in lower case; null on MBR. */
  guid: string | null
  /** Disk signature of the MBR, 32 bits; null on GPT. */
  mbrSignature: number | null
  startLba: number
  sectors: number
}

/** What a UEFI boot entry for the deployed disk needs. */
export interface EfiBoot {
  esp: EfiSystemPartition
  /** The loader to start: `efiBootloaderPath`, else the first of `loaders`. Spelled as on the partition: `\EFI\BOOT\BOOTX64.EFI`. */
  loader: string
  /** All loaders that were found and that this server's CPU can run, the one to start first in front. */
  loaders: string[]
}

export interface DeployResult {
  checkSum: string
  checkSumType: CheckSumType
  bytesServed: number
  virtualSize: number
  /** Bytes written to each disk, zeros not counted. */
  written: number
  seconds: number
  notes: string[]
  /** null for a legacy server, a data disk, and an image without an EFI system partition that holds a loader. */
  boot: EfiBoot | null
  /** Of all disks: the worst. */
  disk: DiskState
}
