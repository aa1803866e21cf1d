import { parentPort, workerData } from 'node:worker_threads'
import { decodeCluster } from '../decode/inflate.ts'
import { ImagingError } from '../error.ts'
import { DiskWriter } from './disk-writer.ts'
import { ioFailure } from '../disk/io-failure.ts'
import { type Answer, type Job, SCRATCH, unpackExtents, type WorkerSetup } from './jobs.ts'
import { readBack } from './read-back.ts'
import { pages, Ring } from './ring.ts'
import { WrittenMap } from './written-map.ts'

const PAGE = 4096

const setup = workerData as WorkerSetup
const ring = new Ring(setup.ring)
const written = new WrittenMap(setup.written)
const writer = new DiskWriter(setup)
const scratch = pages(SCRATCH)

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.on('message', (job: Job) => parentPort?.postMessage(answer(job)))

const DOING = { write: 'writing', verify: 'reading back', zero: 'writing zeros' }

function answer(job: Job): Answer {
  try {
    return { bytes: run(job) }
  } catch (error) {
    const { code, cause, remedy } =
      error instanceof ImagingError ? error : ioFailure('WRITE', DOING[job.kind], error)
    return { failure: { code, cause, remedy } }
  }
}

function run(job: Job): number {
  if (job.kind === 'write') return write(job)
  if (job.kind === 'zero') return zero(job)
  return readBack(job.channel, written, job.from, job.to, setup.diskSize, scratch)
}

function zero(job: Job & { kind: 'zero' }): number {
  let bytes = 0
  for (let region = job.from; region < job.to; region++) {
    for (const { offset, length } of written.runs(region, false, job.end)) {
      writer.writeZeros(job.channel, offset, length)
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
      bytes += writer.write(job.channel, run.disk, scratch.subarray(run.from, filled), job.imageEnd)
    run = { disk: -1, from: (filled = roundUp(filled, PAGE)) }
  }
  for (const extent of unpackExtents(job.extents)) {
    const served = job.bytes ? Buffer.from(job.bytes) : ring.read(extent.source, extent.length)
    if (extent.codec === 'copy') {
      bytes += writer.write(job.channel, extent.disk, served, job.imageEnd)
      continue
    }
    if (run.disk + filled - run.from !== extent.disk) flush()
    if (run.disk < 0) run.disk = extent.disk
    decodeCluster(extent.codec, served, scratch.subarray(filled, filled + extent.size), job.clusterSize)
    filled += extent.size
  }
  flush()
  return bytes
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
