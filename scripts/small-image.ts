/** Small disk images with a real partition table, for tests: an EFI system partition with a loader and some random data. */
import { createHash, randomBytes } from 'node:crypto'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from './run-command.ts'

const mib = 1024 * 1024
const sector = 512
const espLba = 2048

export interface SmallImage {
  path: string
  type: 'raw' | 'qcow2'
  /** Of the file, lower-case hex. */
  sha256: string
  /** Of the file, in bytes. */
  bytes: number
}

/** Tools that `smallImage` uses, each with its Debian package. */
export const smallImageTools = {
  'qemu-img': 'qemu-utils',
  sfdisk: 'fdisk',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
}

/** A program's headers as firmware and byoi look at them: an EFI application for the CPU of this machine. Nothing in it runs. */
function loaderHeader(): Buffer {
  const header = Buffer.alloc(512)
  header.write('MZ', 0, 'latin1')
  header.writeUInt32LE(64, 60)
  header.write('PE\0\0', 64, 'latin1')
  header.writeUInt16LE(process.arch === 'arm64' ? 0xaa64 : 0x8664, 68)
  header.writeUInt16LE(10, 156) // subsystem: EFI application
  return header
}

const loaderName = process.arch === 'arm64' ? 'BOOTAA64.EFI' : 'BOOTX64.EFI'

async function makeEsp(directory: string, name: string, sectors: number, data: Uint8Array): Promise<Buffer> {
  const path = join(directory, `${name}.esp`)
  const content = join(directory, `${name}.data`)
  await writeFile(path, '')
  await truncate(path, sectors * sector)
  await writeFile(content, Buffer.concat([loaderHeader(), data]))
  await command('mkfs.vfat', ['-n', 'ESP', path])
  await command('mmd', ['-i', path, '::/EFI', '::/EFI/BOOT'])
  await command('mcopy', ['-i', path, content, `::/EFI/BOOT/${loaderName}`])
  return await readFile(path)
}

/**
 * Makes an image `NAME.raw` or `NAME.qcow2` in `directory`: GPT, one EFI system partition filled with random data.
 *
 * @param size Virtual size in MiB, from 12.
 */
export async function smallImage(
  directory: string,
  name: string,
  size: number,
  type: 'raw' | 'qcow2',
): Promise<SmallImage> {
  const raw = join(directory, `${name}.raw`)
  const sectors = ((size - 2) * mib) / sector
  const esp = await makeEsp(directory, name, sectors, randomBytes((size - 5) * mib - 512))
  await writeFile(raw, '')
  await truncate(raw, size * mib)
  const script = `label: gpt\nstart=${espLba}, size=${sectors}, type=uefi, name=esp\n`
  await command('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', raw], { input: script })
  await writeFile(raw, Buffer.concat([(await readFile(raw)).subarray(0, mib), esp, await tail(raw, sectors)]))
  const path = type === 'raw' ? raw : join(directory, `${name}.qcow2`)
  if (type === 'qcow2') await command('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path])
  const bytes = await readFile(path)
  return { path, type, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length }
}

/** What follows the partition: the backup GPT. */
const tail = async (raw: string, sectors: number): Promise<Buffer> =>
  (await readFile(raw)).subarray((espLba + sectors) * sector)
