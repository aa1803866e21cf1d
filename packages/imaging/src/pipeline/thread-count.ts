const MiB = 1024 * 1024
/** Two keep two cores busy, together with the network; with one, digest and decoding would take turns. */
const LEAST = 2
/** Eight decode zlib faster than one thread can take the digest of it. */
const MOST = 8
/** Memory of a thread and of what is on its way to it. */
const PER_THREAD = 32 * MiB
/** What stays free for everything else: a server of 512 MiB gets two threads. */
const RESERVE = 384 * MiB

/** How many threads hash, decode, write and read back on a machine with that many processors and free bytes of memory. */
export function threadCount(processors: number, freeBytes: number): number {
  const affordable = Math.floor((freeBytes - RESERVE) / PER_THREAD)
  return Math.max(LEAST, Math.min(processors, affordable, MOST))
}

/** Bytes of the buffer between download and disk that keep so many threads busy. */
export function ringBytes(threads: number): number {
  return Math.max(12, 4 + 4 * threads) * MiB
}
