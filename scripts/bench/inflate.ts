/**
 * Decodes and throws away: `deflate|zstd BYTES THREADS` clusters of 64 KiB, until BYTES have come out; `gunzip FILE` a stream.
 * What Node's zlib can do here, without a disk and a network.
 */
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { createGunzip, deflateRawSync, inflateRawSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { mixedData } from './images.ts'

const CLUSTER = 65_536
const SAMPLE = 4 * 1024 * 1024

function clusters(codec: string, bytes: number): void {
  const data = mixedData(SAMPLE)
  const packed: Buffer[] = []
  for (let at = 0; at < SAMPLE; at += CLUSTER) {
    const cluster = data.subarray(at, at + CLUSTER)
    packed.push(codec === 'zstd' ? zstdCompressSync(cluster) : deflateRawSync(cluster, { windowBits: 12 }))
  }
  const room = { chunkSize: CLUSTER + 1, maxOutputLength: CLUSTER }
  for (let done = 0; done < bytes; done += CLUSTER) {
    const each = packed[(done / CLUSTER) % packed.length] as Buffer
    if (codec === 'zstd') zstdDecompressSync(each, room)
    else inflateRawSync(each, room)
  }
}

const [codec = '', what = '', threads = '1'] = process.argv.slice(2)
if (!isMainThread) clusters(codec, (workerData as { bytes: number }).bytes)
else if (codec === 'gunzip') {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  await pipeline(
    createReadStream(what, { highWaterMark: 1 << 20 }),
    createGunzip({ chunkSize: 1 << 18 }),
    nowhere,
  )
} else {
  const options = { argv: process.argv.slice(2), workerData: { bytes: Number(what) / Number(threads) } }
  const workers = Array.from({ length: Number(threads) }, () => new Worker(import.meta.filename, options))
  await Promise.all(workers.map((worker) => once(worker, 'exit')))
}
