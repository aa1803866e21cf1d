import type { ImageView } from './extent.ts'
import { decodeCluster } from './inflate.ts'
import type { Qcow2Map, RangedSource } from './qcow2-map.ts'
import type { Run, Runs } from './runs.ts'

/** The decoded content of a qcow2 image by its map, over ranged reads. Holds one decoded cluster. */
export function openQcow2View(source: RangedSource, map: Qcow2Map): ImageView {
  return new Qcow2View(source, map)
}

class Qcow2View implements ImageView {
  readonly virtualSize: number
  readonly #source: RangedSource
  readonly #map: Qcow2Map
  #cached: { disk: number; bytes: Uint8Array } | null = null

  constructor(source: RangedSource, map: Qcow2Map) {
    this.virtualSize = map.header.virtualSize
    this.#source = source
    this.#map = map
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset < 0 || length < 0 || offset + length > this.virtualSize)
      throw new RangeError('outside the image')
    const result = new Uint8Array(length)
    const { l2Span } = this.#map.header
    for (let at = offset; at < offset + length; ) {
      const base = Math.floor(at / l2Span) * l2Span
      const end = Math.min(offset + length, base + l2Span)
      const mapping = this.#map.mappings[base / l2Span]
      if (mapping) await this.#readSpan(mapping.runs, base, at, result.subarray(at - offset, end - offset))
      at = end
    }
    return result
  }

  async #readSpan(runs: Runs, base: number, from: number, into: Uint8Array): Promise<void> {
    const end = from + into.length
    for (let i = Math.max(0, runs.atOrBefore(from - base)); i < runs.count; i++) {
      const run = runs.inDiskOrder(i)
      run.disk += base
      if (run.disk >= end) return
      const size = run.compressed ? this.#map.header.clusterSize : run.length
      const first = Math.max(from, run.disk)
      const last = Math.min(end, run.disk + size)
      if (first < last) await this.#readRun(run, first - run.disk, into.subarray(first - from, last - from))
    }
  }

  async #readRun(run: Run, skip: number, into: Uint8Array): Promise<void> {
    if (!run.compressed) return this.#source.readAt(run.source + skip, into)
    if (this.#cached?.disk !== run.disk) this.#cached = { disk: run.disk, bytes: await this.#decode(run) }
    into.set(this.#cached.bytes.subarray(skip, skip + into.length))
  }

  async #decode(run: Run): Promise<Uint8Array> {
    const { header, fileSize } = this.#map
    const served = new Uint8Array(Math.min(run.length, fileSize - run.source))
    await this.#source.readAt(run.source, served)
    const cluster = new Uint8Array(header.clusterSize)
    decodeCluster(header.codec, served, cluster)
    return cluster
  }
}
