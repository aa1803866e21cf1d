import { BOOT_AREA } from '../table/boot-areas.types.ts'
import type { Channel, WorkerSetup } from './jobs.ts'
import { isAligned, pages } from './ring.ts'
import { writeFully } from './write-fully.ts'
import { BLOCK, WrittenMap } from './written-map.ts'

const ZEROS = Buffer.alloc(BLOCK)
const BOUNCE = 1024 * 1024

/**
 * Puts decoded runs on the disks, from one worker: blocks of zeros are left out, the boot areas are kept in memory, and
 * everything else is written and remembered for the read-back.
 */
export class DiskWriter {
  readonly #written: WrittenMap
  readonly #head: Buffer
  readonly #tail: Buffer
  readonly #tailAt: number
  readonly #bounce = pages(BOUNCE)
  readonly #last = pages(BLOCK)

  constructor(setup: WorkerSetup) {
    this.#written = new WrittenMap(setup.written)
    this.#head = Buffer.from(setup.withheldHead)
    this.#tail = Buffer.from(setup.withheldTail)
    this.#tailAt = setup.diskSize - BOOT_AREA
  }

  /**
   * Writes what is not zero of `run` at `offset`. The image's last block is filled up with zeros, since a disk takes whole
   * sectors only. Returns the bytes written to each disk.
   * @throws ImagingError WRITE
   */
  write(channels: Channel[], offset: number, run: Buffer, imageEnd: number): number {
    const end = offset + run.length
    if (end !== imageEnd || end % BLOCK === 0) return this.#writeBlocks(channels, offset, run)
    const body = Math.max(end - (end % BLOCK) - offset, 0)
    const last = this.#lastBlock(offset + body, run.subarray(body))
    return (
      this.#writeBlocks(channels, offset, run.subarray(0, body)) +
      this.#writeBlocks(channels, offset + body, last)
    )
  }

  #lastBlock(offset: number, bytes: Buffer): Buffer {
    const blockEnd = Math.min(offset - (offset % BLOCK) + BLOCK, this.#tailAt + BOOT_AREA)
    const padded = this.#last.subarray(0, blockEnd - offset)
    padded.fill(0, bytes.copy(padded))
    return padded
  }

  /** Zeros are looked for in whole blocks of the disk. */
  #writeBlocks(channels: Channel[], offset: number, run: Buffer): number {
    let bytes = 0
    let pending = -1 // where the run of blocks that are not zero began
    for (let at = 0; at < run.length; ) {
      const end = Math.min(at + BLOCK - ((offset + at) % BLOCK), run.length)
      if (isZero(run, at, end)) {
        if (pending >= 0) bytes += this.#place(channels, offset + pending, run.subarray(pending, at))
        pending = -1
      } else if (pending < 0) pending = at
      at = end
    }
    if (pending >= 0) bytes += this.#place(channels, offset + pending, run.subarray(pending))
    return bytes
  }

  /** Writes zeros to a run of blocks that nothing else is written to. */
  writeZeros(channels: Channel[], offset: number, length: number): void {
    this.#bounce.fill(0)
    for (let at = 0; at < length; at += BOUNCE) {
      const zeros = this.#bounce.subarray(0, Math.min(BOUNCE, length - at))
      for (const channel of channels) writeFully(channel, zeros, offset + at)
    }
    this.#written.markZeroed(offset, length)
  }

  /** Splits a run at the boot areas: their share is withheld, the rest written. */
  #place(channels: Channel[], offset: number, run: Buffer): number {
    const headEnd = clamp(BOOT_AREA - offset, 0, run.length)
    const tailStart = clamp(this.#tailAt - offset, headEnd, run.length)
    if (headEnd > 0) run.copy(this.#head, offset, 0, headEnd)
    if (tailStart < run.length) run.copy(this.#tail, offset + tailStart - this.#tailAt, tailStart)
    if (tailStart > headEnd) this.#put(channels, offset + headEnd, run.subarray(headEnd, tailStart))
    return run.length
  }

  #put(channels: Channel[], offset: number, bytes: Buffer): void {
    for (const channel of channels) {
      if (isAligned(bytes, channel.alignment)) writeFully(channel, bytes, offset)
      else this.#putThroughBounce(channel, offset, bytes)
    }
    this.#written.add(offset, bytes)
  }

  #putThroughBounce(channel: Channel, offset: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += BOUNCE) {
      const length = bytes.copy(this.#bounce, 0, at, at + BOUNCE)
      writeFully(channel, this.#bounce.subarray(0, length), offset + at)
    }
  }
}

/** Compares with zeros natively: an order of magnitude faster than any loop, and it stops at the first difference. */
function isZero(bytes: Buffer, from: number, to: number): boolean {
  return ZEROS.compare(bytes, from, to, 0, to - from) === 0
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high)
}
