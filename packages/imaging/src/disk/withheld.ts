import { BOOT_AREA } from '../table/boot-areas.types.ts'
import type { Targets } from './targets.ts'

/** Image data of the first and the last MiB of the room for it, kept in memory until it may boot. Shared with the workers. */
export class Withheld {
  readonly head = new SharedArrayBuffer(BOOT_AREA)
  readonly tail = new SharedArrayBuffer(BOOT_AREA)

  /** Zeros again, for another attempt. */
  clear(): void {
    Buffer.from(this.head).fill(0)
    Buffer.from(this.tail).fill(0)
  }

  /** Content at `offset` as it will be once published: from the first disk, with the withheld areas laid over it. */
  async read(targets: Targets, offset: number, length: number): Promise<Uint8Array> {
    const result = await targets.first.read(offset, length)
    overlay(result, offset, this.head, 0)
    overlay(result, offset, this.tail, targets.size - BOOT_AREA)
    return result
  }
}

/** Lays `area`, which begins at `areaAt` on the disk, over `bytes`, which begin at `offset`. */
function overlay(bytes: Buffer, offset: number, area: SharedArrayBuffer, areaAt: number): void {
  const from = Math.max(offset, areaAt)
  const to = Math.min(offset + bytes.length, areaAt + area.byteLength)
  if (from < to) Buffer.from(area, from - areaAt, to - from).copy(bytes, from - offset)
}
