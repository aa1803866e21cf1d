/**
 * Proves what a deployment left on a disk, with tools that are not ours: `qemu-img` says what the image holds, `sfdisk` and
 * `sgdisk` read the partition tables, cloud-init reads the config drive.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findTool } from './debian-packages.ts'
import { command, tryCommand } from './run-command.ts'

const mib = 1024 * 1024
const sector = 512
const gptSectors = 34

/** One line of the proof. `unknown`: it could not be checked, and `detail` says why. */
export interface Proof {
  what: string
  result: 'holds' | 'fails' | 'unknown'
  detail: string
}

/** `start` and `size` in sectors of the disk. */
export interface Partition {
  start: number
  size: number
  type: string
  name: string
}

export interface PartitionTable {
  label: 'gpt' | 'dos'
  partitions: Partition[]
}

/** The partition table as sfdisk reads it. @throws {Error} where it finds none. */
export async function partitionTable(path: string): Promise<PartitionTable> {
  const answer = JSON.parse((await command('sfdisk', ['--json', '--', path])).toString()) as {
    partitiontable: { label: 'gpt' | 'dos'; partitions?: (Omit<Partition, 'name'> & { name?: string })[] }
  }
  const { label, partitions = [] } = answer.partitiontable
  return {
    label,
    partitions: partitions.map(({ start, size, type, name = '' }) => ({ start, size, type, name })),
  }
}

async function readFully(file: FileHandle, buffer: Buffer, at: number): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, at + done)
    // Beyond the end of a file there are zeros, as on a disk that was never written there.
    if (bytesRead === 0) {
      buffer.fill(0, done)
      return
    }
    done += bytesRead
  }
}

export interface Comparison {
  /** Offset in bytes of the first MiB that differs, undefined where all is equal. */
  firstDifference: number | undefined
  /** Of the first file's region, lower-case hex. */
  sha256: string
}

/** Compares the bytes `from` to `to` (not included) of two files. */
export async function compareRegion(a: string, b: string, from: number, to: number): Promise<Comparison> {
  const [left, right] = [await open(a), await open(b)]
  const hash = createHash('sha256')
  let firstDifference: number | undefined
  try {
    for (let at = from; at < to; at += mib) {
      const length = Math.min(mib, to - at)
      const [mine, its] = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)]
      await Promise.all([readFully(left, mine, at), readFully(right, its, at)])
      hash.update(mine)
      if (firstDifference === undefined && !mine.equals(its)) firstDifference = at
    }
  } finally {
    await Promise.all([left.close(), right.close()])
  }
  return { firstDifference, sha256: hash.digest('hex') }
}

/** The bytes that a deployment may not change: everything but the table's own sectors at the image's both ends. */
function fixedRegions(label: 'gpt' | 'dos', imageSize: number): [number, number][] {
  if (label === 'dos') {
    return [
      [0, 440],
      [sector, imageSize],
    ]
  }
  return [
    [0, 440],
    [gptSectors * sector, imageSize - (gptSectors - 1) * sector],
  ]
}

async function proveContent(disk: string, raw: string, size: number, table: PartitionTable): Promise<Proof> {
  const what = 'the disk holds the image, byte for byte'
  let sha256 = ''
  for (const [from, to] of fixedRegions(table.label, size)) {
    const compared = await compareRegion(disk, raw, from, to)
    sha256 = compared.sha256
    if (compared.firstDifference !== undefined) {
      return { what, result: 'fails', detail: `differs in the MiB at byte ${compared.firstDifference}` }
    }
  }
  const detail = `${(size / mib).toFixed(0)} MiB equal to qemu-img's conversion, SHA-256 ${sha256.slice(0, 16)}...`
  return { what, result: 'holds', detail }
}

/** The disk's partitions must be the image's, and after them at most the config drive. */
async function provePartitions(image: PartitionTable, path: string): Promise<Proof> {
  const what = "the image's partitions are all there"
  try {
    const disk = await partitionTable(path)
    const same = JSON.stringify(disk.partitions.slice(0, image.partitions.length))
    const added = disk.partitions.length - image.partitions.length
    const holds = image.label === disk.label && same === JSON.stringify(image.partitions) && added <= 1
    const names = disk.partitions.map((each) => each.name || each.type).join(', ')
    return { what, result: holds ? 'holds' : 'fails', detail: `sfdisk sees ${disk.label}: ${names}` }
  } catch (error) {
    return { what, result: 'fails', detail: error instanceof Error ? error.message : String(error) }
  }
}

async function proveGpt(disk: string): Promise<Proof> {
  const what = 'both GPTs are valid, the backup at the end of the disk'
  if (findTool('sgdisk') === undefined) return { what, result: 'unknown', detail: 'sgdisk (gdisk) is absent' }
  const { stdout, stderr } = await tryCommand('sgdisk', ['-v', disk])
  const text = `${stdout.toString()}${stderr}`
  // sgdisk finds no problems either in the table that it would make up for a disk without one.
  const holds = text.includes('No problems found') && !/Creating new GPT|ERROR|Caution/.test(text)
  const words = text.split('\n').find((line) => /^Problem|^Creating|ERROR|^Caution/.test(line))
  return {
    what,
    result: holds ? 'holds' : 'fails',
    detail: holds ? 'sgdisk -v: no problems found' : (words ?? text),
  }
}

/**
 * Proves the disk's content and tables against the image.
 *
 * @param format The image's format, as qemu-img names it.
 * @param work A directory with room for the converted image (sparse).
 */
export async function proveDisk(disk: string, image: string, format: string, work: string): Promise<Proof[]> {
  const absent = ['qemu-img', 'sfdisk'].filter((each) => findTool(each) === undefined)
  if (absent.length > 0) {
    return [{ what: 'the disk holds the image', result: 'unknown', detail: `${absent.join(', ')} absent` }]
  }
  const raw = format === 'raw' ? image : join(work, 'reference.raw')
  if (format !== 'raw') await command('qemu-img', ['convert', '-f', format, '-O', 'raw', image, raw])
  try {
    const file = await open(raw)
    const { size } = await file.stat()
    await file.close()
    const its = await partitionTable(raw)
    const proofs = [await proveContent(disk, raw, size, its), await provePartitions(its, disk)]
    return its.label === 'gpt' ? [...proofs, await proveGpt(disk)] : proofs
  } finally {
    if (raw !== image) await rm(raw, { force: true })
  }
}

/** What cloud-init's own reader finds on a config drive. */
export interface ConfigDriveFound {
  version: number
  metadata: Record<string, unknown>
  userData: Buffer | null
}

/** Tools that `readConfigDrive` needs and that are absent. */
export const configDriveToolsAbsent = (): string[] =>
  ['xorriso', 'mcopy', 'sfdisk', '/usr/lib/python3/dist-packages/cloudinit'].filter(
    (each) => findTool(each) === undefined,
  )

/** Reads the last partition of the disk (512-byte sectors), the config drive, with cloud-init's reader. */
export async function readConfigDrive(disk: string): Promise<ConfigDriveFound> {
  const partition = (await partitionTable(disk)).partitions.at(-1)
  if (partition === undefined) throw new Error('the disk has no partition')
  const work = await mkdtemp(join(tmpdir(), 'byoi-config-drive-'))
  try {
    const [iso, tree] = [join(work, 'drive'), join(work, 'tree')]
    const place = [`skip=${partition.start}`, `count=${partition.size}`, `bs=${sector}`]
    await command('dd', [`if=${disk}`, `of=${iso}`, ...place, 'status=none'])
    await command('xorriso', ['-osirrox', 'on', '-indev', `stdio:${iso}`, '-extract', '/', tree])
    // The pinned interpreter of Debian, whatever other Python is first on the PATH: cloud-init belongs to it.
    const reader = join(import.meta.dirname, 'read-config-drive.py')
    const found = JSON.parse((await command('/usr/bin/python3', [reader, tree])).toString()) as {
      version: number
      metadata: Record<string, unknown>
      userDataBase64: string | null
    }
    const { userDataBase64, ...rest } = found
    return { ...rest, userData: userDataBase64 === null ? null : Buffer.from(userDataBase64, 'base64') }
  } finally {
    await command('chmod', ['-R', 'u+w', work])
    await rm(work, { recursive: true, force: true })
  }
}
