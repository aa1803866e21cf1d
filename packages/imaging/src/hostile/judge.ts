/**
 * For the tests of this folder: deploys an image as a server would, onto a disk full of an old system's data, and judges how that
 * ended: what the error says, what the disk holds, what it cost.
 */
import assert from 'node:assert/strict'
import { open, truncate } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { MiB, options, readAt, scratch } from '../deploy-image.fixture.ts'
import { deployImage } from '../deploy-image.ts'
import type { DeployOptions, DeployResult, ImageType } from '../deploy-image.types.ts'
import { type DiskState, type ImagingCode, ImagingError } from '../error.ts'
import { PeakMemory } from '../fuzz/peak-memory.ts'

/** What the old system left on every disk here. */
const STALE = 0xa5
const MAX_CPU_MICROSECONDS = 2_000_000
const MAX_GROWTH = 64 * MiB

/** Bytes. */
export const DISK = 4 * MiB

/** How an image comes: with Range its tables are read beforehand, without everything is found as it goes past. */
export type Way = 'by Range' | 'as a stream' | 'in chunks'
export const WAYS: readonly Way[] = ['by Range', 'as a stream']

export interface Refusal {
  /** Number and name of the class of hostile files that the image belongs to. */
  row: string
  what: string
  image: () => Buffer
  /** One of them, where two checks find the same fault and either may come first. */
  code: ImagingCode | readonly ImagingCode[]
  says: RegExp
  /** What may have become of the disk at worst: with Range, and as a stream where that differs. */
  disk?: DiskState
  streamed?: DiskState
  diskSize?: number
  more?: Partial<DeployOptions>
}

export interface Bench {
  deploy(image: Buffer, type: ImageType, way: Way, more?: Partial<DeployOptions>): Promise<DeployResult>
  readonly disk: string
  /** Sees to it that the disk has `size` bytes, as the old system left them. */
  renew(size: number): Promise<void>
}

/** A disk file and a server of images, for all tests of a file. */
export function useBench(): Bench {
  let folder: Awaited<ReturnType<typeof scratch>>
  let served: Buffer = Buffer.alloc(0)
  let way: Way = 'by Range'
  let sizeLeft = 0 // of a disk that is as it was left; 0: something was written since
  const server = createServer((request, response) => {
    const range = way === 'by Range' ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') : null
    const from = Number(range?.[1] ?? 0)
    const to = range?.[2] ? Math.min(Number(range[2]) + 1, served.length) : served.length
    response.writeHead(range ? 206 : 200, {
      etag: '"hostile"',
      'accept-ranges': range ? 'bytes' : 'none',
      ...(way === 'in chunks' ? {} : { 'content-length': to - from }),
      ...(range ? { 'content-range': `bytes ${from}-${to - 1}/${served.length}` } : {}),
    })
    response.end(served.subarray(from, to))
  })
  before(async () => {
    folder = await scratch()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    await bench.renew(DISK)
    // What the first deployment of a process loads is no growth that an image causes.
    await bench.deploy(Buffer.alloc(2 * MiB, 7), 'raw', 'as a stream', { dataDisk: true })
  })
  after(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await folder[Symbol.asyncDispose]()
  })
  const bench: Bench = {
    get disk() {
      return join(folder.path, 'disk')
    },
    async renew(size) {
      if (sizeLeft === size) return
      const file = await open(bench.disk, 'w')
      const piece = Buffer.alloc(Math.min(size, DISK), STALE)
      await file.write(piece, 0, piece.length, 0)
      await file.close()
      await truncate(bench.disk, size)
      sizeLeft = size
    },
    async deploy(image, type, how, more = {}) {
      served = image
      way = how
      const size = sizeLeft
      sizeLeft = 0
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/image`
      // In chunks no end is known, so that a checksum is asked for; that of nothing never fits.
      const checkSum = how === 'in chunks' ? ({ type: 'sha256', value: '0'.repeat(64) } as const) : null
      try {
        const disk = { ...more.disk, path: bench.disk }
        return await deployImage(options({ url, type, checkSum }, '', { dataDisk: false, ...more, disk }))
      } catch (error) {
        if (error instanceof ImagingError && error.disk === 'untouched') sizeLeft = size
        throw error
      }
    },
  }
  return bench
}

/** At most `most` spellings of each row, from all over it: the parsers' own tests have all of them. */
export function spread<T extends { row: string }>(rows: readonly T[], most: number): T[] {
  return [...Map.groupBy(rows, ({ row }) => row).values()].flatMap((spellings) => {
    const step = Math.max(1, spellings.length / most)
    return spellings.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step))
  })
}

/** A test for each way in which the image may come. */
export function testRefusals(bench: Bench, type: ImageType, rows: readonly Refusal[]): void {
  for (const row of rows) {
    for (const way of WAYS) {
      void test(`${row.row} ${row.what}: ${String(row.code)} ${way}`, () =>
        assertRefused(bench, type, row, way))
    }
  }
}

export async function assertRefused(bench: Bench, type: ImageType, row: Refusal, way: Way): Promise<void> {
  const { code, says, disk = 'untouched', diskSize = DISK } = row
  await bench.renew(diskSize)
  const image = row.image()
  const since = cost()
  const error = await failureOf(bench.deploy(image, type, way, row.more))
  const spent = since()
  assert.ok([code].flat().includes(error.code), `${error.message} instead of ${String(code)}`)
  assert.match(error.cause, says)
  assertSentence(error.cause)
  assertSentence(error.remedy)
  const worst = way === 'by Range' ? disk : (row.streamed ?? disk)
  await assertDisk(bench.disk, error.disk, worst, diskSize)
  assertCheap(spent)
}

/** What an image may cost, by what `cost` gives. */
export function assertCheap({ cpu, growth }: { cpu: number; growth: number }): void {
  assert.ok(cpu <= MAX_CPU_MICROSECONDS, `${cpu} µs of CPU`)
  assert.ok(growth <= MAX_GROWTH, `grew by ${growth} bytes`)
}

/** Starts to count; gives the CPU of all threads in microseconds and by how much the memory grew at its highest, in bytes. */
export function cost(): () => { cpu: number; growth: number } {
  const memory = new PeakMemory()
  memory.reset()
  const usage = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(usage)
    return { cpu: user + system, growth: memory.growth }
  }
}

async function failureOf(deployment: Promise<DeployResult>): Promise<ImagingError> {
  const error = await deployment.then(
    () => assert.fail('the image was accepted'),
    (failure: unknown) => failure,
  )
  assert.ok(error instanceof ImagingError, String(error))
  return error
}

/** A reader can do something with it. */
function assertSentence(text: string): void {
  assert.match(text, /^\S.{10,}\.$/s)
  assert.doesNotMatch(text, /undefined|NaN|\[object/)
}

/** The state that was told is the state that the disk is in, and no worse than `worst`. */
async function assertDisk(path: string, told: DiskState, worst: DiskState, size: number): Promise<void> {
  if (told === 'untouched') {
    const bytes = await readAt(path, 0, Math.min(size, DISK))
    assert.ok(bytes.equals(Buffer.alloc(bytes.length, STALE)), 'the disk was changed')
    return
  }
  assert.deepEqual([told, worst], ['unbootable', 'unbootable'])
  for (const at of [0, size - MiB]) {
    assert.ok((await readAt(path, at, MiB)).equals(Buffer.alloc(MiB)), `the boot area at ${at} is not zero`)
  }
}
