import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ConfigDrive, DeployOptions, ImageType } from './deploy-image.types.ts'

export const run = promisify(execFile)
export const MiB = 1024 * 1024
export const isRoot = process.getuid?.() === 0

/** The reason to skip a test that needs `tools`, or false. */
export function lacks(...tools: string[]): string | false {
  const folders = ['/usr/sbin', '/sbin', ...(process.env['PATH'] ?? '').split(':')]
  const absent = tools.filter((tool) => !folders.some((folder) => existsSync(join(folder, tool))))
  return absent.length > 0 && `not installed: ${absent.join(', ')}`
}

export const needsRoot = (...tools: string[]): string | false => lacks(...tools) || (!isRoot && 'needs root')

/** A folder of its own, removed by `await using`. */
export async function scratch(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'byoi-deploy-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

/**
 * A disk's content: data in both boot areas, at odd places, with holes of all sizes between, and zeros inside blocks of
 * data. `size` in bytes, at least 8 MiB.
 */
export async function makeRaw(path: string, size: number): Promise<string> {
  await writeFile(path, '')
  const file = await open(path, 'r+')
  await file.truncate(size)
  const pieces = [
    [0, 440], // boot code
    [70_000, 3000],
    [MiB - 512, 1024], // over the end of the first boot area
    [2 * MiB, 3 * MiB],
    [5 * MiB + 512, 512],
    [5 * MiB + 200_192, 131_072],
    [size - MiB - 700, 1400], // over the begin of the last one, when the disk is as large
    [size - 300, 300],
  ]
  for (const [at = 0, length = 0] of pieces) await file.write(randomBytes(length), 0, length, at)
  await file.close()
  return path
}

/** A file full of 0xFF, as a disk that somebody used before. */
export async function usedDisk(path: string, size: number): Promise<string> {
  await writeFile(path, '')
  const file = await open(path, 'r+')
  const ones = Buffer.alloc(MiB, 0xff)
  for (let at = 0; at < size; at += MiB) await file.write(ones, 0, Math.min(MiB, size - at), at)
  await file.close()
  await truncate(path, size)
  return path
}

/** A loop device over a used disk. */
export async function usedLoop(
  path: string,
  size: number,
  sectorSize: number,
  ...more: string[]
): Promise<{ path: string } & AsyncDisposable> {
  await usedDisk(path, size)
  const args = ['--find', '--show', '--sector-size', String(sectorSize), ...more, '--', path]
  const device = (await run('losetup', args)).stdout.trim()
  return {
    path: device,
    [Symbol.asyncDispose]: async () => void (await run('losetup', ['--detach', device])),
  }
}

/** What the disk begins with is all of `raw`. */
export async function assertSame(disk: string, raw: string): Promise<void> {
  const expected = await readFile(raw)
  const found = await readAt(disk, 0, expected.length)
  if (found.equals(expected)) return
  const at = expected.findIndex((byte, index) => byte !== found[index])
  assert.fail(`${disk} differs from byte ${at} on: ${found[at]} instead of ${expected[at]}`)
}

/** A config drive with as little on it as there can be. */
export const configDrive: ConfigDrive = {
  instanceId: 'i-1',
  hostname: 'host',
  sshKey: null,
  userData: null,
  userMetadatas: [],
  phoneHomeUrl: null,
}

export interface ImageFormat {
  type: ImageType
  /** Options of `qemu-img convert`; null: the raw image itself. */
  convert: string[] | null
  /** Bytes. */
  size: number
}

/** A disk's content as `makeRaw` makes it, and an image of that. */
export async function makeImage(
  folder: string,
  { type, convert, size }: ImageFormat,
): Promise<{ image: string; raw: string }> {
  const raw = await makeRaw(join(folder, 'raw'), size)
  if (convert === null) return { image: raw, raw }
  const image = join(folder, 'image')
  await run('qemu-img', ['convert', '-f', 'raw', '-O', type, ...convert, raw, image])
  return { image, raw }
}

export async function readAt(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

export interface ServeOptions {
  ranges?: boolean
  /** The entity tag of each answer, by its number from 0. */
  etag?: (request: number) => string
  /** Bytes after which the answer with this number is cut, or goes silent for ever. */
  cutAfter?: (request: number) => number
  silent?: boolean
  /** Without Content-Length. */
  chunked?: boolean
}

/** Serves a file's bytes on loopback. */
export async function serve(
  path: string,
  options: ServeOptions = {},
): Promise<{ url: string; requests: () => number; bytes: () => number } & AsyncDisposable> {
  const { size } = await stat(path)
  const {
    ranges = true,
    etag = () => '"one"',
    cutAfter = () => Number.POSITIVE_INFINITY,
    silent,
    chunked,
  } = options
  let requests = 0
  let bytes = 0
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const number = requests++
    const range = ranges ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') : null
    const isStale = request.headers['if-range'] !== undefined && request.headers['if-range'] !== etag(number)
    const start = range && !isStale ? Number(range[1]) : 0
    const end = range && !isStale && range[2] ? Math.min(Number(range[2]) + 1, size) : size
    response.writeHead(range && !isStale ? 206 : 200, {
      etag: etag(number),
      'accept-ranges': ranges ? 'bytes' : 'none',
      ...(chunked ? {} : { 'content-length': end - start }),
      ...(range && !isStale ? { 'content-range': `bytes ${start}-${end - 1}/${size}` } : {}),
    })
    const limit = Math.min(end, start + cutAfter(number))
    const closed = once(response, 'close')
    for (let at = start; at < limit && !response.destroyed; at += 100_000) {
      const part = await readAt(path, at, Math.min(100_000, limit - at))
      bytes += part.length
      const room = response.write(part)
      if (!room) await Promise.race([once(response, 'drain'), closed])
    }
    if (limit === end) response.end()
    else if (!silent) response.destroy()
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/image`,
    requests: () => requests,
    /** Of all bodies. */
    bytes: () => bytes,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Options of a deployment of a disk without a partition table, unless `more` says otherwise. */
export function options(
  image: Partial<DeployOptions['image']> & { url: string },
  path: string,
  more: Partial<DeployOptions> = {},
): DeployOptions {
  return {
    image: { type: 'raw', httpHeader: [], checkSum: null, file: !image.url.startsWith('http'), ...image },
    disk: { path },
    boot: null,
    efiBootloaderPath: null,
    transport: null,
    configDrive: null,
    dataDisk: true,
    addressPolicy: { allow: ['127.0.0.0/8'], deny: [], allowPrivate: true, denyPorts: [] },
    spoolBytes: 64 * MiB,
    ...more,
  }
}

export interface FailingDevice extends AsyncDisposable {
  path: string
  /** From now on every write, or every flush, ends in EIO. */
  fail(what: 'writes' | 'flushes'): void
}

/** A line of shell for nbdkit's eval plugin: EIO once the file `flag` exists. */
const unless = (flag: string, command: string) => `[ ! -e ${flag} ] || { echo EIO >&2; exit 1; }; ${command}`

/** A loop device over a network block device of 16 MiB full of 0xFF that can be told to fail. */
export async function failingDevice(folder: string): Promise<FailingDevice> {
  const store = await usedDisk(join(folder, 'store'), 16 * MiB)
  const failWrites = join(folder, 'fail-writes')
  const failFlushes = join(folder, 'fail-flushes')
  const nbd = join(folder, 'nbd')
  await writeFile(nbd, '')
  const plugin = [
    'nbdkit',
    '-s',
    '--exit-with-parent',
    'eval',
    `get_size=echo ${16 * MiB}`,
    'can_write=exit 0',
    'can_flush=exit 0',
    `pread=dd if=${store} skip=$4 count=$3 iflag=skip_bytes,count_bytes status=none`,
    `pwrite=${unless(failWrites, `dd of=${store} seek=$4 oflag=seek_bytes conv=notrunc status=none`)}`,
    `flush=${unless(failFlushes, 'exit 0')}`,
  ] // prettier-ignore
  const fuse = spawn('nbdfuse', [nbd, '--command', ...plugin], { stdio: 'ignore' })
  for (let attempt = 0; (await stat(nbd)).size === 0; attempt++) {
    if (attempt > 200 || fuse.exitCode !== null) throw new Error('nbdfuse did not start')
    await sleep(25)
  }
  const path = (await run('losetup', ['--find', '--show', '--', nbd])).stdout.trim()
  return {
    path,
    fail: (what) => writeFileSync(what === 'writes' ? failWrites : failFlushes, ''),
    [Symbol.asyncDispose]: async () => {
      await run('losetup', ['--detach', path])
      await run('fusermount', ['-u', nbd]).catch(() => run('fusermount3', ['-u', nbd]))
      if (fuse.exitCode === null) await once(fuse, 'close')
    },
  }
}
