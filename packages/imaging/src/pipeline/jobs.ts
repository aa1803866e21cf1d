import type { Extent } from '../decode/extent.ts'
import type { CheckSumType } from '../deploy-image.types.ts'
import type { ImagingCode } from '../error.ts'
import type { RingShare } from './ring.ts'
import type { WrittenShare } from './written-map.ts'

/** What every worker is started with. The buffers are shared with the main thread and the other workers. */
export interface WorkerSetup {
  ring: RingShare
  written: WrittenShare
  /** Image data of the boot areas is kept here instead of being written. */
  withheldHead: SharedArrayBuffer
  withheldTail: SharedArrayBuffer
  /** Bytes of the smallest disk. */
  diskSize: number
}

/** An open file descriptor of a disk and the alignment, in bytes, that offsets, lengths and memory must have with it. */
export interface Channel {
  fd: number
  /** The disk's name, for errors. */
  path: string
  alignment: number
}

/** What is done to the disks is done to one after the other. */
export type Job =
  /** Decode the extents and write what is not zero. `bytes`: served bytes of the only extent, where the ring lost them. */
  | {
      kind: 'write'
      channels: Channel[]
      imageEnd: number
      clusterSize: number
      extents: Extents
      bytes: Uint8Array | null
    }
  /** Take the served bytes `from` to before `to` into the digest; `last`: and give it. Always to the same worker. */
  | { kind: 'digest'; type: CheckSumType; from: number; to: number; last: boolean }
  /** Read back the written blocks of the regions and compare the checksums. */
  | { kind: 'verify'; channels: Channel[]; from: number; to: number }
  /** Write zeros to the blocks of the regions that were not written, up to `end`. */
  | { kind: 'zero'; channels: Channel[]; from: number; to: number; end: number }

/** How many bytes a job wrote to each disk, read back from all or took into the digest; `digest`, in lower-case hex, with the last of those. */
export interface Done {
  bytes: number
  digest?: string
}

/** What a worker answers to a job, or why it could not be done. */
export type Answer = Done | { failure: { code: ImagingCode; cause: string; remedy: string } }

/** Decoded bytes after which a job is full; one more extent of at most `LARGEST_CLUSTER` may end in it. */
export const JOB_BYTES = 2 * 1024 * 1024
/** The largest cluster of a qcow2 file, which is the longest run that one extent decodes to. */
export const LARGEST_CLUSTER = 2 * 1024 * 1024
/** Room in which a worker decodes a job: each of up to `JOB_EXTENTS` runs begins on a page. */
export const JOB_EXTENTS = 256
export const SCRATCH = JOB_BYTES + LARGEST_CLUSTER + JOB_EXTENTS * 4096

/** Extents as they travel to a worker: five numbers each. */
export type Extents = Float64Array<ArrayBuffer>

const FIELDS = 5
const CODECS: Extent['codec'][] = ['copy', 'deflate', 'zlib', 'zstd']

export function packExtents(extents: Extent[]): Extents {
  const packed = new Float64Array(extents.length * FIELDS)
  extents.forEach((extent, index) => {
    const codec = CODECS.indexOf(extent.codec)
    packed.set([extent.source, extent.length, extent.disk, extent.size, codec], index * FIELDS)
  })
  return packed
}

export function unpackExtents(packed: Extents): Extent[] {
  const extents: Extent[] = []
  for (let at = 0; at < packed.length; at += FIELDS) {
    const [source, length, disk, size, codec] = packed.subarray(at, at + FIELDS) as unknown as number[]
    extents.push({
      source: source as number,
      length: length as number,
      disk: disk as number,
      size: size as number,
      codec: CODECS[codec as number] as Extent['codec'],
    })
  }
  return extents
}
