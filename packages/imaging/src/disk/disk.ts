import { close, constants, fdatasync, fstat, ftruncate, open, read, write } from 'node:fs'
import { promisify } from 'node:util'
import { ImagingError } from '../error.ts'
import type { Channel } from '../pipeline/jobs.ts'
import { pages } from '../pipeline/ring.ts'
import { BOOT_AREA } from '../table/boot-areas.types.ts'
import { assertSame, type SizedFacts } from './inspect-disk.ts'
import { ioFailure } from './io-failure.ts'

const opens = promisify(open)
const reads = promisify(read)
const writes = promisify(write)
const stats = promisify(fstat)
const flushes = promisify(fdatasync)
const closes = promisify(close)
const truncates = promisify(ftruncate)

const BOUNCE = 1024 * 1024

/**
 * The opened target. Devices are held exclusively, so that nothing can be mounted from them meanwhile.
 *
 * Reads and writes of the main thread go through `read` and `write` here; the workers use the channels.
 */
export class Disk {
  readonly size: number
  readonly facts: SizedFacts
  /** Past the page cache where the file system can; then its alignment is more than 1. */
  readonly direct: Channel
  /** Through the page cache: any alignment. Never used at the same time as `direct` for writing. */
  readonly buffered: Channel
  readonly #bounce = pages(BOUNCE)
  #flushFailure: Error | null = null
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(facts: SizedFacts, direct: Channel, buffered: Channel) {
    this.facts = facts
    this.size = facts.size
    this.direct = direct
    this.buffered = buffered
  }

  /**
   * Opens the target; a file that is not there yet is made, one that is shorter than its size is extended. `imageRoom`: bytes
   * that an image may fill, which may be less.
   * @throws ImagingError DISK, with the target untouched.
   */
  static async open(facts: SizedFacts, imageRoom: number): Promise<Disk> {
    const fds: number[] = []
    const openAs = async (path: string, flags: number) => {
      const fd = await opens(path, constants.O_RDWR | flags, 0o600)
      fds.push(fd)
      return fd
    }
    try {
      const held = await openAs(facts.path, facts.kind === 'device' ? constants.O_EXCL : constants.O_CREAT)
      assertSame(facts, await stats(held))
      // By the descriptor, not by the name: it is the same disk even when names move.
      const again = `/proc/self/fd/${held}`
      const alignment = facts.kind === 'device' ? facts.sectorSize : 4096 // a file's device may have 4 KiB sectors
      const { path, size } = facts
      const isWhole = size % alignment === 0 && imageRoom % alignment === 0
      const direct = isWhole ? await openAs(again, constants.O_DIRECT).catch(() => null) : null
      const buffered = { fd: held, alignment: 1, path }
      return new Disk(facts, direct === null ? buffered : { fd: direct, alignment, path }, buffered)
    } catch (error) {
      await Promise.all(fds.map((fd) => closes(fd)))
      throw error instanceof ImagingError ? error : ioFailure('DISK', 'opening', facts.path, error)
    }
  }

  /** Bytes at `offset`. Rejects with the system's error. */
  read(offset: number, length: number): Promise<Buffer> {
    return this.#inTurn(async () => {
      const result = Buffer.alloc(length)
      const { fd, alignment } = this.direct
      for (let at = 0; at < length; ) {
        const start = offset + at - ((offset + at) % alignment)
        const asked = Math.min(BOUNCE, Math.ceil((offset + length - start) / alignment) * alignment)
        const { bytesRead } = await reads(fd, this.#bounce, 0, asked, start)
        const copied = this.#bounce.copy(result, at, offset + at - start, bytesRead)
        if (copied === 0) throw new Error(`the disk ended at byte ${offset + at}`)
        at += copied
      }
      return result
    })
  }

  /** Writes whole sectors at `offset`. Rejects with the system's error. */
  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      for (let at = 0; at < bytes.length; ) {
        const piece = bytes.subarray(at, at + BOUNCE)
        this.#bounce.set(piece)
        const { bytesWritten } = await writes(this.direct.fd, this.#bounce, 0, piece.length, offset + at)
        at += bytesWritten
      }
    })
  }

  /**
   * Makes what was written durable. A failure is final: the kernel reports lost data once only, and a second fdatasync
   * would succeed. So every later call rejects without trying.
   */
  async flush(): Promise<void> {
    if (this.#flushFailure) throw this.#flushFailure
    try {
      await flushes(this.buffered.fd)
    } catch (error) {
      this.#flushFailure = error as Error
      throw error
    }
  }

  /** Zeros in the first and the last MiB, on the medium when this returns. The two may not boot from now on. */
  async zeroBootAreas(): Promise<void> {
    const zeros = Buffer.alloc(BOOT_AREA)
    await this.write(0, zeros)
    await this.write(this.size - BOOT_AREA, zeros)
    await this.flush()
  }

  /** Regular files: drops all content and leaves one hole of the disk's size. */
  async makeHole(): Promise<void> {
    await truncates(this.buffered.fd, 0)
    await truncates(this.buffered.fd, this.size)
    await this.flush()
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => undefined)
    for (const fd of new Set([this.direct.fd, this.buffered.fd])) await closes(fd)
  }

  /** One at a time: there is one bounce buffer. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work)
    this.#turn = done.catch(() => undefined)
    return done
  }
}
