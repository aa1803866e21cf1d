import type { Channel } from '../pipeline/jobs.ts'
import { Disk } from './disk.ts'
import type { SizedFacts } from './inspect-disk.ts'

/**
 * The disks that get the image: one, or several that get the same bytes at the same places. They may have different sizes; the
 * image has the room of the smallest.
 */
export class Targets {
  /** In the order in which they were named. */
  readonly disks: readonly Disk[]
  /** From which the image is read again, and on which data waits: the one that was named first. */
  readonly first: Disk
  readonly smallest: Disk

  private constructor(disks: [Disk, ...Disk[]]) {
    this.disks = disks
    this.first = disks[0]
    this.smallest = disks.reduce((a, b) => (b.size < a.size ? b : a))
  }

  /** Opens all of them. Throws ImagingError DISK, with all of them untouched. */
  static async open(facts: [SizedFacts, ...SizedFacts[]]): Promise<Targets> {
    const size = Math.min(...facts.map((each) => each.size))
    const [first, ...others] = facts
    const disks: [Disk, ...Disk[]] = [await Disk.open(first, size)]
    try {
      for (const each of others) disks.push(await Disk.open(each, size))
    } catch (error) {
      await Promise.all(disks.map((disk) => disk.close()))
      throw error
    }
    return new Targets(disks)
  }

  /** Bytes of the smallest. */
  get size(): number {
    return this.smallest.size
  }

  /** Of all of them: they agree. */
  get sectorSize(): 512 | 4096 {
    return this.first.facts.sectorSize
  }

  get direct(): Channel[] {
    return this.disks.map((disk) => disk.direct)
  }

  get buffered(): Channel[] {
    return this.disks.map((disk) => disk.buffered)
  }

  /** Does `work` on all of them at once, waits for all, and throws the first failure. */
  async each<T>(work: (disk: Disk) => Promise<T>): Promise<T[]> {
    const done = this.disks.map((disk) => work(disk))
    await Promise.allSettled(done)
    return await Promise.all(done)
  }

  async close(): Promise<void> {
    await this.each((disk) => disk.close())
  }
}
