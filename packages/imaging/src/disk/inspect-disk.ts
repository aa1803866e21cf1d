import type { Stats } from 'node:fs'
import { readFile, readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { TargetDisk } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import { ioFailure } from './io-failure.ts'

/** The smallest disk that has two boot areas, in bytes. */
export const SMALLEST_DISK = 2 * 1024 * 1024

export interface DiskFacts {
  path: string
  kind: 'file' | 'device'
  /** Bytes; for a file that has yet to get its size, undefined. */
  size: number | undefined
  sectorSize: 512 | 4096
  /** Devices: the kernel can write zeros without sending them. */
  writesZeroes: boolean
  /** Devices: "major:minor". */
  device: string | undefined
  /** The same for two names of one disk or file. */
  identity: string
}

/** Of a disk whose size is known. */
export type SizedFacts = DiskFacts & { size: number }

/**
 * What the target is, looked at without opening it.
 * @throws ImagingError DISK where it cannot be a target: neither block device nor regular file, read-only, of another size
 * than asked for, with a sector size that is neither 512 nor 4096, or in use.
 */
export async function inspectDisk(target: TargetDisk): Promise<DiskFacts> {
  const found = await stat(target.path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' && !target.path.startsWith('/dev/')) return null
    throw ioFailure('DISK', 'looking at', target.path, error)
  })
  const facts = found?.isBlockDevice()
    ? await inspectDevice(target.path, found)
    : await fileFacts(target, found)
  assertSize(facts, target)
  if (facts.device) await assertUnused(facts.path, facts.device)
  return facts
}

async function fileFacts(target: TargetDisk, found: Stats | null): Promise<DiskFacts> {
  if (found && !found.isFile()) throw notADisk(target.path)
  return {
    path: target.path,
    kind: 'file',
    size: Math.max(target.size ?? 0, found?.size ?? 0) || undefined,
    sectorSize: target.sectorSize ?? 512,
    writesZeroes: true,
    device: undefined,
    identity: found ? identityOf(found) : await nameOfNewFile(target.path),
  }
}

/** Where the file will be, without symbolic links. */
async function nameOfNewFile(path: string): Promise<string> {
  const folder = await realpath(dirname(path)).catch(() => dirname(resolve(path)))
  return join(folder, basename(path))
}

async function inspectDevice(path: string, found: Stats): Promise<DiskFacts> {
  const device = deviceNumber(found.rdev)
  const folder = `/sys/dev/block/${device}`
  const queue = await readdir(join(folder, 'queue')).then(
    () => join(folder, 'queue'),
    () => join(folder, '../queue'), // of a partition
  )
  const sectorSize = await readNumber(join(queue, 'logical_block_size'))
  if (sectorSize !== 512 && sectorSize !== 4096) {
    throw refused(
      `The disk ${path} has sectors of ${sectorSize} bytes.`,
      'Use a disk with sectors of 512 or 4096 bytes.',
    )
  }
  if ((await readNumber(join(folder, 'ro'))) !== 0) {
    throw refused(`The disk ${path} is read-only.`, 'Make the disk writable, or name another one.')
  }
  return {
    path,
    kind: 'device',
    size: (await readNumber(join(folder, 'size'))) * 512, // the kernel counts in 512 bytes always
    sectorSize,
    writesZeroes: (await readNumber(join(queue, 'write_zeroes_max_bytes')).catch(() => 0)) > 0,
    device,
    identity: identityOf(found),
  }
}

function assertSize({ path, kind, size }: DiskFacts, target: TargetDisk): void {
  if (size === undefined) return
  if (target.size !== undefined && size !== target.size) {
    throw refused(
      `The disk ${path} has ${size} bytes, while ${target.size} were expected.`,
      'Name the disk that was meant.',
    )
  }
  if (kind === 'file' && size % 512 !== 0) {
    throw refused(
      `The file ${path} has ${size} bytes, which is not a whole number of sectors.`,
      'Give a size that 512 divides.',
    )
  }
  if (size < SMALLEST_DISK) {
    throw refused(`The disk ${path} has ${size} bytes.`, `Use a disk of at least ${SMALLEST_DISK} bytes.`)
  }
}

/** The same for two names of one disk or file, and after a name has come to mean another. */
function identityOf(found: Stats): string {
  return found.isBlockDevice() ? `device ${deviceNumber(found.rdev)}` : `file ${found.dev}:${found.ino}`
}

/** Throws ImagingError DISK where what was opened is not what was inspected: names of disks can move in between. */
export function assertSame({ path, identity }: DiskFacts, opened: Stats): void {
  const isNewFile = !/^(?:device|file) /.test(identity)
  if (isNewFile || identityOf(opened) === identity) return
  throw refused(
    `The name ${path} had come to mean another disk before it could be opened.`,
    'Look at the names of the disks, and try again.',
  )
}

/** Refuses disks that cannot have the same content: one that is named twice, and different sectors. */
export function assertMirrors([first, ...others]: DiskFacts[]): void {
  const seen = new Set([first?.identity])
  for (const { path, identity, sectorSize } of others) {
    if (seen.has(identity))
      throw refused(`The disk ${path} is named twice.`, 'Name each disk to write to once.')
    seen.add(identity)
    if (first && sectorSize !== first.sectorSize) {
      throw refused(
        `The disk ${path} has sectors of ${sectorSize} bytes, while ${first.path} has sectors of ${first.sectorSize}.`,
        'Use disks with sectors of the same size.',
      )
    }
  }
}

/** Refuses a device that is mounted, swapped on, or part of something: an array, a volume group, an encrypted device. */
async function assertUnused(path: string, device: string): Promise<void> {
  const folder = `/sys/dev/block/${device}`
  const parts = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const devices = [device]
  for (const { name } of parts) {
    const number = await readFile(join(folder, name, 'dev'), 'utf8').catch(() => null)
    if (number) devices.push(number.trim())
  }
  for (const each of devices) {
    const holders = await readdir(`/sys/dev/block/${each}/holders`).catch((): string[] => [])
    if (holders.length > 0) throw inUse(path, `${holders.join(', ')} is built on it`)
  }
  const mounted = await mountedOn(devices)
  if (mounted) throw inUse(path, `it is mounted on ${mounted}`)
  if (await isSwap(devices)) throw inUse(path, 'it is swapped on')
}

async function mountedOn(devices: string[]): Promise<string | undefined> {
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [, , device, , mountPoint, ...rest] = line.split(' ')
    const source = rest[rest.indexOf('-') + 2] // some file systems show a device number of their own
    if (devices.includes(device ?? '') || devices.includes(await numberOf(source))) return mountPoint
  }
  return undefined
}

async function isSwap(devices: string[]): Promise<boolean> {
  const lines = (await readFile('/proc/swaps', 'utf8').catch(() => '')).split('\n').slice(1)
  const numbers = await Promise.all(lines.map((line) => numberOf(line.split(/\s/)[0])))
  return numbers.some((number) => devices.includes(number))
}

/** "major:minor" of a block device's path; anything else gives an empty string. */
async function numberOf(path: string | undefined): Promise<string> {
  if (!path?.startsWith('/')) return ''
  const found = await stat(path).catch(() => null)
  return found?.isBlockDevice() ? deviceNumber(found.rdev) : ''
}

/** As the kernel writes it in /sys; the layout of dev_t is glibc's (makedev(3)). */
function deviceNumber(rdev: number): string {
  const number = BigInt(rdev)
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xffff_f000n)
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffff_ff00n)
  return `${major}:${minor}`
}

async function readNumber(path: string): Promise<number> {
  return Number(await readFile(path, 'utf8'))
}

function inUse(path: string, why: string): ImagingError {
  return refused(`The disk ${path} is in use: ${why}.`, 'Stop what uses the disk, or name another one.')
}

function notADisk(path: string): ImagingError {
  return refused(`${path} is neither a block device nor a regular file.`, 'Name a disk or a file.')
}

function refused(cause: string, remedy: string): ImagingError {
  return new ImagingError('DISK', { cause, remedy })
}
