import { createHash, type Hash } from 'node:crypto'
import { ImagingError } from '../../error.ts'
import type { DecodedWork, StreamDecoder } from '../extent.ts'
import { cutOff, refuse } from '../refuse.ts'
import { past, type Story, StreamParser } from '../stream-parser.ts'
import { VmdkDecoder } from '../vmdk-stream.ts'
import {
  checkManifest,
  findDisk,
  type FoundDisk,
  isManifest,
  nextMember,
  readManifestOf,
} from './find-disk.ts'
import type { ManifestAlgorithm } from './manifest.ts'

/** What a manifest that follows the disk may use: the digests have to be made before it is known. */
const EXPECTED: ManifestAlgorithm[] = ['sha1', 'sha256']

/**
 * Decodes an OVA as it goes past: a tar archive with an OVF descriptor, a manifest and one streamOptimized VMDK (DMTF DSP0243). The
 * disk's digest is compared with the manifest's, wherever that stands.
 */
export class OvaDecoder implements StreamDecoder {
  readonly virtualSize: number
  /** Bytes that a grain decodes to. */
  readonly clusterSize: number
  readonly notes: string[] = []
  readonly #disk: VmdkDecoder
  /** Where the disk begins in the archive; null while it is not going past. */
  #base: number | null = null
  readonly #parser: StreamParser
  #work: DecodedWork = { extents: [], held: [] }
  #ended = false

  /** `diskHead`: the first sector of the disk, as `findDisk` led to it. Throws as `readVmdkHeader` does. */
  constructor(diskHead: Uint8Array) {
    this.#disk = new VmdkDecoder(diskHead)
    this.virtualSize = this.#disk.virtualSize
    this.clusterSize = this.#disk.clusterSize
    this.#parser = new StreamParser(this.#story())
  }

  get needsFrom(): number {
    return this.#base === null ? this.#parser.position : this.#base + this.#disk.needsFrom
  }

  push(bytes: Uint8Array, offset: number): DecodedWork {
    this.#parser.push(bytes, offset)
    return this.#takeWork()
  }

  finish(total: number): DecodedWork {
    if (total !== this.#parser.position)
      throw new RangeError(`${this.#parser.position} bytes came, ${total} expected`)
    if (!this.#ended) throw cutOff("the OVA's end never came")
    return this.#takeWork()
  }

  #takeWork(): DecodedWork {
    const work = this.#work
    this.#work = { extents: [], held: [] }
    return work
  }

  *#story(): Story {
    const found = yield* findDisk()
    this.checkCapacity(found.ovf.capacity)
    const digests = this.#hashes(found)
    yield* this.#passDisk(found, digests)
    yield* this.#readRest(found, digests)
    this.#ended = true
    yield past(Number.MAX_SAFE_INTEGER, checkPadding)
  }

  /** What the descriptor says of the disk's size, in bytes, must be so. Throws ImagingError FORMAT. */
  checkCapacity(capacity: number): void {
    if (capacity === this.virtualSize) return
    throw refuse(
      `The OVA's disk has ${this.virtualSize} bytes, while its descriptor says ${capacity}.`,
      'Export the OVA anew from the program that made it.',
    )
  }

  /** With the digests that a manifest tells or may tell. */
  #hashes({ manifest, ovf }: FoundDisk): Map<ManifestAlgorithm, Hash> {
    const told = manifest?.get(ovf.href)?.algorithm
    return new Map((told === undefined ? EXPECTED : [told]).map((name) => [name, createHash(name)]))
  }

  *#passDisk({ member }: FoundDisk, digests: Map<ManifestAlgorithm, Hash>): Story {
    this.#base = member.start
    yield past(member.start + member.size, (bytes, offset) => {
      for (const digest of digests.values()) digest.update(bytes)
      this.#take(this.#disk.push(bytes, offset - member.start), member.start)
    })
    this.#take(this.#disk.finish(member.size), member.start)
    this.#base = null
    yield past(member.next)
  }

  *#readRest(found: FoundDisk, digests: Map<ManifestAlgorithm, Hash>): Story {
    let { manifest } = found
    for (let at = found.member.next; ; ) {
      const member = yield* nextMember(at, found.names)
      if (member === null) break
      if (isManifest(member)) {
        manifest = checkManifest(yield* readManifestOf(member, manifest), found.descriptor, found.ovf)
      }
      at = member.next
      yield past(at)
    }
    if (manifest === null) this.notes.push('The OVA has no manifest, so its disk was not compared with one.')
    else checkDisk(manifest.get(found.ovf.href), digests)
  }

  #take({ extents, held }: DecodedWork, base: number): void {
    for (const extent of extents) this.#work.extents.push({ ...extent, source: extent.source + base })
    this.#work.held.push(...held)
  }
}

function checkDisk(
  entry: { algorithm: ManifestAlgorithm; digest: string } | undefined,
  digests: Map<ManifestAlgorithm, Hash>,
): void {
  const hash = entry && digests.get(entry.algorithm)
  if (hash === undefined || entry === undefined) {
    throw refuse(
      'The manifest behind the disk of the OVA has a digest of another kind than SHA1 and SHA256.',
      'Pack the OVA anew with the .mf before the disk.',
    )
  }
  const got = hash.digest('hex')
  if (got === entry.digest) return
  throw new ImagingError('SUM', {
    cause: `The ${entry.algorithm} of the OVA's disk is ${got}, while its manifest says ${entry.digest}.`,
    remedy: 'Upload the OVA again, or export it anew.',
    got,
    expected: entry.digest,
  })
}

function checkPadding(bytes: Uint8Array): void {
  if (bytes.some((byte) => byte !== 0)) throw refuse('The OVA goes on after its end.', 'Pack the OVA anew.')
}
