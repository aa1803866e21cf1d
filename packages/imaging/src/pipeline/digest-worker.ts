import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { COMMITTED, type DigestSetup, HASHED, WANTED } from '../digest.ts'
import { Ring } from './ring.ts'

/** At most this much at a time, so that room in the ring is given back early. */
const PIECE = 1024 * 1024

const { ring: share, positions: shared, type } = workerData as DigestSetup
const ring = new Ring(share)
const positions = new BigInt64Array(shared)
const hash = createHash(type)

let hashed = 0
for (;;) {
  const committed = Number(Atomics.load(positions, COMMITTED))
  const ended = committed < 0
  const total = ended ? -committed - 1 : committed
  if (hashed === total) {
    if (ended) break
    Atomics.wait(positions, COMMITTED, BigInt(committed))
    continue
  }
  const piece = ring.piece(hashed, Math.min(total - hashed, PIECE))
  hash.update(piece)
  hashed += piece.length
  Atomics.store(positions, HASHED, BigInt(hashed))
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  if (Atomics.exchange(positions, WANTED, 0n) === 1n) parentPort?.postMessage(null)
}
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage(hash.digest('hex'))
