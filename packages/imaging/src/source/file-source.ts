import { constants, type BigIntStats } from 'node:fs'
import { type FileHandle, open, readFile, stat } from 'node:fs/promises'
import { ImagingError } from '../error.ts'
import { cancelled, refused, startAgain } from './fault.ts'
import type { ByteSink, ImageSource } from './source.ts'

/**
 * Opens a local image: a regular file or a block device, read only.
 * @throws ImagingError DOWNLOAD
 */
export async function openFileSource(path: string, signal: AbortSignal): Promise<ImageSource> {
  let handle: FileHandle | undefined
  try {
    assertReadable(path, await stat(path, { bigint: true }))
    // O_NONBLOCK: should the name have become a FIFO meanwhile, opening it must not wait for a writer.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stats = await handle.stat({ bigint: true })
    assertReadable(path, stats)
    const size = stats.isFile() ? Number(stats.size) : await deviceSize(stats.rdev)
    if (size === 0) throw refused(`${path} is empty.`, 'Name a file that holds an image.')
    return new FileSource(path, size, handle, stats, signal)
  } catch (error) {
    await handle?.close()
    throw error instanceof ImagingError ? error : readFailure(path, error)
  }
}

class FileSource implements ImageSource {
  readonly shownUrl: string
  readonly size: number
  readonly ranged = true
  readonly #handle: FileHandle
  readonly #stats: BigIntStats
  readonly #signal: AbortSignal

  constructor(path: string, size: number, handle: FileHandle, stats: BigIntStats, signal: AbortSignal) {
    this.shownUrl = path
    this.size = size
    this.#handle = handle
    this.#stats = stats
    this.#signal = signal
  }

  async readAt(offset: number, into: Uint8Array): Promise<void> {
    if (offset < 0 || offset + into.length > this.size)
      throw new RangeError('The read goes past the end of the image.')
    for (let at = 0; at < into.length; ) at += await this.#read(into.subarray(at), offset + at)
    await this.#assertUnchanged()
  }

  async stream(sink: ByteSink): Promise<number> {
    let at = 0
    while (at < this.size) {
      const memory = await sink.reserve()
      const length = await this.#read(memory.subarray(0, Math.min(memory.length, this.size - at)), at)
      sink.commit(length)
      at += length
    }
    await this.#assertUnchanged()
    return at
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  async #read(into: Uint8Array, offset: number): Promise<number> {
    if (this.#signal.aborted) throw cancelled()
    let length: number
    try {
      length = (await this.#handle.read(into, 0, into.length, offset)).bytesRead
    } catch (error) {
      throw readFailure(this.shownUrl, error)
    }
    if (length === 0) throw changed(this.shownUrl)
    return length
  }

  /** Size and time of the last change are what they were at the start. Devices do not keep the time. */
  async #assertUnchanged(): Promise<void> {
    if (!this.#stats.isFile()) return
    const { size, mtimeNs } = await this.#handle.stat({ bigint: true })
    if (size !== this.#stats.size || mtimeNs !== this.#stats.mtimeNs) throw changed(this.shownUrl)
  }
}

function assertReadable(path: string, stats: BigIntStats): void {
  if (stats.isFile() || stats.isBlockDevice()) return
  const what = stats.isDirectory() ? 'a directory' : 'neither a file nor a block device'
  throw refused(`${path} is ${what}.`, 'Name a file or a block device that holds an image.')
}

/** Size of a block device in bytes. Linux gives it in units of 512 bytes, whatever the sectors of the device are. */
async function deviceSize(rdev: bigint): Promise<number> {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n)
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n)
  return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * 512
}

const MEANING: Record<string, string> = {
  ENOENT: 'it does not exist',
  EACCES: 'access is not allowed',
  EPERM: 'access is not allowed',
  EIO: 'the disk that it is on reports an input/output error',
  ELOOP: 'its symbolic links go in a circle',
  ENOTDIR: 'a part of the path is no directory',
}

function readFailure(path: string, error: unknown): ImagingError {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException
  const cause = `${path} cannot be read: ${MEANING[code] ?? 'the system refused'} (${code}).`
  return new ImagingError('DOWNLOAD', {
    cause,
    remedy: 'Name an image file that exists and may be read.',
    origin: error,
  })
}

const changed = (path: string) =>
  startAgain(
    `${path} changed while it was being read.`,
    'Leave the file as it is until the image has been written.',
  )
