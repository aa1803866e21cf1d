import { createHash, type Hash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import type { Extent } from '../decode/extent.ts'
import { decodeCluster } from '../decode/inflate.ts'
import { ImagingError, internalError } from '../error.ts'
import { DiskWriter } from './disk-writer.ts'
import { type Answer, type Done, type Job, SCRATCH, unpackExtents, type WorkerSetup } from './jobs.ts'
import { readBack } from './read-back.ts'
import { pages, Ring } from './ring.ts'
import { BLOCK, WrittenMap } from './written-map.ts'

const PAGE = 4096

const setup = workerData as WorkerSetup
const ring = new Ring(setup.ring)
const written = new WrittenMap(setup.written)
const writer = new DiskWriter(setup)
const scratch = pages(SCRATCH)

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.on('message', (job: Job) => parentPort?.postMessage(answer(job)))

/** Of the bytes as served; only in the worker that is given them. */
let hash: Hash | null = null

function answer(job: Job): Answer {
  try {
    return job.kind === 'digest' ? digest(job) : { bytes: run(job) }
  } catch (error) {
    // Disks and images fail with ImagingErrors.
    const { code, cause, remedy } =
      error instanceof ImagingError ? error : internalError('A disk writer failed', error)
    return { failure: { code, cause, remedy } }
  }
}

function run(job: Exclude<Job, { kind: 'digest' }>): number {
  if (job.kind === 'write') return write(job)
  if (job.kind === 'zero') return zero(job)
  return sum(
    job.channels.map((channel) => readBack(channel, written, job.from, job.to, setup.diskSize, scratch)),
  )
}

function digest({ type, from, to, last }: Job & { kind: 'digest' }): Done {
  hash ??= createHash(type)
  for (let at = from; at < to; ) {
    const piece = ring.piece(at, to - at)
    hash.update(piece)
    at += piece.length
  }
  return last ? { bytes: to - from, digest: hash.digest('hex') } : { bytes: to - from }
}

function zero(job: Job & { kind: 'zero' }): number {
  let bytes = 0
  for (let region = job.from; region < job.to; region++) {
    for (const { offset, length } of written.runs(region, false, job.end)) {
      writer.writeZeros(job.channels, offset, length)
      bytes += length
    }
  }
  return bytes
}

/** Copies go straight from the ring to the disk; clusters are decoded side by side first and written as few long runs. */
function write(job: Job & { kind: 'write' }): number {
  let bytes = 0
  let filled = 0 // of the scratch
  let run = { disk: -1, from: 0 }
  const flush = () => {
    if (filled > run.from)
      bytes += writer.write(job.channels, run.disk, scratch.subarray(run.from, filled), job.imageEnd)
    run = { disk: -1, from: (filled = roundUp(filled, PAGE)) }
  }
  for (const extent of unpackExtents(job.extents)) {
    if (extent.codec === 'copy') {
      bytes += copy(job, extent)
      continue
    }
    const served = servedBytes(job, extent)
    if (run.disk + filled - run.from !== extent.disk) flush()
    if (run.disk < 0) run.disk = extent.disk
    decodeCluster(extent.codec, served, scratch.subarray(filled, filled + extent.size), job.clusterSize)
    filled += extent.size
  }
  flush()
  return bytes
}

/** In two pieces where the ring wraps at a block of the disk, as it does unless clusters are tiny: that saves a copy. */
function copy(job: Job & { kind: 'write' }, { source, disk, length }: Extent): number {
  const toWrap = ring.size - (source % ring.size)
  if (job.bytes || toWrap >= length || (disk + toWrap) % BLOCK !== 0)
    return writer.write(job.channels, disk, servedBytes(job, { source, length }), job.imageEnd)
  return (
    writer.write(job.channels, disk, ring.piece(source, toWrap), job.imageEnd) +
    writer.write(job.channels, disk + toWrap, ring.piece(source + toWrap, length - toWrap), job.imageEnd)
  )
}

function servedBytes({ bytes }: Job & { kind: 'write' }, extent: Pick<Extent, 'source' | 'length'>): Buffer {
  return bytes ? Buffer.from(bytes) : ring.read(extent.source, extent.length)
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
