/** Images and disks that make a deployment fail for one real reason. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress } from 'node:zlib'
import { command } from '../../scripts/run-command.ts'
import { waitFor } from './lab.ts'

const sector = 512

/** Packs a file so that unpacking it takes a window of 256 MiB. */
export async function widePackedImage(path: string, to: string): Promise<void> {
  const pack = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 28 } })
  await pipeline(createReadStream(path), pack, createWriteStream(to))
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
