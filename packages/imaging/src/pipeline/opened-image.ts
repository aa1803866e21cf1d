import type { ImageView, StreamDecoder } from '../decode/extent.ts'
import type { Qcow2Header } from '../decode/qcow2-header.ts'
import type { ChunkStore } from '../decode/spool.ts'
import { Unseen } from '../table/image-reader.ts'
import type { Ring } from './ring.ts'

/** What is known of an image before its data comes. */
export interface OpenedImage {
  /** Bytes; undefined for a raw image whose length the server does not tell. */
  virtualSize: number | undefined
  /** Bytes that a compressed cluster decodes to; 0 for raw. */
  clusterSize: number
  header: Qcow2Header | null
  /** What the file holds, by tables that were read beforehand; null where there are none, or they were not. */
  stored: StoredData | null
  /** Each byte's place on the disk is known before it comes, so nothing is looked back at. */
  placesData: boolean
  /** The decoded content, as far as it can be seen; else `read` rejects with Unseen. */
  view: Pick<ImageView, 'read'>
  /**
   * A decoder at byte 0, for a disk of `diskSize` bytes; what goes past it is in `ring`, and what it cannot keep in RAM goes
   * to `store`. Throws ImagingError.
   */
  newDecoder(diskSize: number, ring: Ring, store: ChunkStore): StreamDecoder & { notes: string[] }
}

export interface StoredData {
  /** Bytes of the disk that have data in the file. */
  bytes: number
  isCompressed: boolean
}

/** For a view of what cannot be looked at yet. */
export function unseen(): Promise<never> {
  return Promise.reject(new Unseen('this part of the image cannot be looked at yet'))
}
