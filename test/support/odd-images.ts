/** Images and disks that make a deployment fail for one real reason. */
import { spawn, type ChildProcess } from 'node:child_process'
import { copyFile, mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../../scripts/run-command.ts'
import { waitFor } from './lab.ts'

const mib = 1024 * 1024
const sector = 512

/**
 * A qcow2 image (version 3) whose only L2 tables stand behind all of its data: without ranges the whole data must wait in
 * memory for its place. `size` in MiB; the data is a hole of the file, so the image takes almost no room.
 * Layout: QEMU docs/interop/qcow2.txt, "Header", "Cluster mapping".
 */
export async function tablesLastImage(path: string, size: number): Promise<void> {
  const cluster = 64 * 1024
  const entries = cluster / 8
  const clusters = (size * mib) / cluster
  const tables = Math.ceil(clusters / entries)
  // Cluster 0 header, 1 L1 table, 2 refcount table, 3... refcount blocks, then data, then L2 tables.
  const blocks = Math.ceil((4 + clusters + tables + 8) / (cluster / 2))
  const dataAt = 3 + blocks
  const l2At = dataAt + clusters
  const total = l2At + tables
  await writeFile(path, '')
  await truncate(path, total * cluster)
  const file = await open(path, 'r+')
  const put = (buffer: Buffer, at: number): Promise<unknown> =>
    file.write(buffer, 0, buffer.length, at * cluster)
  try {
    const header = Buffer.alloc(104)
    header.write('QFI\u00FB', 0, 'latin1')
    header.writeUInt32BE(3, 4)
    header.writeUInt32BE(16, 20)
    header.writeBigUInt64BE(BigInt(size * mib), 24)
    header.writeUInt32BE(tables, 36)
    header.writeBigUInt64BE(BigInt(cluster), 40)
    header.writeBigUInt64BE(BigInt(2 * cluster), 48)
    header.writeUInt32BE(1, 56)
    header.writeUInt32BE(4, 96)
    header.writeUInt32BE(104, 100)
    await put(header, 0)
    const copied = 1n << 63n
    const pointers = (count: number, first: number, flag: bigint): Buffer => {
      const buffer = Buffer.alloc(count * 8)
      for (let i = 0; i < count; i++) buffer.writeBigUInt64BE(BigInt((first + i) * cluster) | flag, i * 8)
      return buffer
    }
    await put(pointers(tables, l2At, copied), 1)
    await put(pointers(blocks, 3, 0n), 2)
    const counts = Buffer.alloc(total * 2)
    for (let i = 0; i < total; i++) counts.writeUInt16BE(1, i * 2)
    await put(counts, 3)
    await put(pointers(clusters, dataAt, copied), l2At)
  } finally {
    await file.close()
  }
}

/** Copies a raw GPT image and damages the partition entries, so that no table can be trusted. */
export async function brokenGptImage(from: string, to: string): Promise<void> {
  await copyFile(from, to)
  const file = await open(to, 'r+')
  const { size } = await file.stat()
  try {
    // First byte of the first entry's name, in the primary and in the backup table: both checksums are wrong now.
    await file.write('X', 2 * sector + 56)
    await file.write('X', size - 33 * sector + 56)
  } finally {
    await file.close()
  }
}

/** A file `DIR/disk` that fails every write (EIO) once `trigger` exists: nbdkit's error filter behind FUSE. */
export async function failingDisk(
  folder: string,
  size: number,
): Promise<{ disk: string; trigger: string; close: () => Promise<void> }> {
  const [backing, disk, trigger] = [join(folder, 'backing'), join(folder, 'disk'), join(folder, 'fail-now')]
  await mkdir(folder, { recursive: true })
  await writeFile(backing, '')
  await truncate(backing, size)
  await writeFile(disk, '')
  const failing = [
    '--filter=error',
    'file',
    backing,
    'error-pwrite=EIO',
    'error-pwrite-rate=100%',
    `error-pwrite-file=${trigger}`,
  ]
  const child = spawn('nbdfuse', [disk, '--command', 'nbdkit', '-s', '--exit-with-parent', ...failing], {
    stdio: 'ignore',
  })
  await waitFor('the failing disk', async () => ((await stat(disk)).size === size ? true : undefined), 10_000)
  return { disk, trigger, close: () => unmount(disk, child) }
}

async function unmount(disk: string, child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await command('fusermount3', ['-u', '-z', disk])
  await ended
}

/** Fills a file with text that is no disk image. */
export async function noImage(path: string): Promise<void> {
  const text = await readFile(import.meta.filename)
  await writeFile(path, Buffer.concat([text, text, text]))
}
