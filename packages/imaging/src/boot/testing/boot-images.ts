import { existsSync, readFileSync } from 'node:fs'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fatWith, type Tree } from '../../filesystem/testing/volumes.ts'
import { runTool } from '../../table/testing/run-tool.ts'
import { efiProgram, removableName } from './efi-program.ts'

const MiB = 1024 * 1024
const SECTOR = 512
/** Where the partitions are: BIOS boot, or nothing; then the EFI system partition; then some Linux. */
const LBA = { biosBoot: 2048, esp: 4096, linux: 16384 }
const ESP_BYTES = 4 * MiB
export const IMAGE_BYTES = 12 * MiB

/** A disk image for the tests of booting. */
export interface BootImage {
  table: 'gpt' | 'mbr' | 'none'
  /** Files of the EFI system partition; null: there is none; 'zeros': one without a file system. */
  esp: Tree | 'zeros' | null
  /** What the first 440 bytes are: GRUB's boot code with or without its core, another's, nothing. */
  code: 'grub' | 'grub without core' | 'other' | null
  /** Content of the third partition, from its begin. */
  linux?: Buffer
}

export const loaderTree: Tree = { [`EFI/BOOT/${removableName}`]: efiProgram() }

const grubBootCode = '/usr/lib/grub/i386-pc/boot.img'

/** GRUB's own boot code, else the parts of it that are looked at. */
function grubCode(): Buffer {
  const code = existsSync(grubBootCode) ? readFileSync(grubBootCode).subarray(0, 440) : Buffer.alloc(440)
  code.set([0xeb, 0x63, 0x90], 0)
  code.write('GRUB \0Geom\0Hard Disk\0Read\0 Error', 0x180, 'latin1')
  code.writeBigUInt64LE(BigInt(LBA.biosBoot), 0x5c)
  return code
}

/** Writes the image into `directory` and gives its path. */
export async function makeBootImage(
  directory: string,
  image: BootImage,
  format: 'raw' | 'qcow2' | 'vmdk' = 'raw',
): Promise<string> {
  const raw = join(directory, 'boot.raw')
  await writeFile(raw, '')
  await truncate(raw, IMAGE_BYTES)
  if (image.table !== 'none')
    runTool('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', raw], { input: tableOf(image) })
  const bytes = await readFile(raw)
  if (image.code === 'other') bytes.fill(0xf4, 0, 440)
  if (image.code?.startsWith('grub')) bytes.set(grubCode(), 0)
  if (image.code === 'grub') bytes.fill(0x52, LBA.biosBoot * SECTOR, LBA.biosBoot * SECTOR + 4096)
  if (image.esp && image.esp !== 'zeros') {
    const shape = { bits: 12, sectorSize: 512, clusterSectors: 4, size: ESP_BYTES } as const
    bytes.set(fatWith(image.esp, shape), LBA.esp * SECTOR)
  }
  if (image.linux) bytes.set(image.linux, LBA.linux * SECTOR)
  await writeFile(raw, bytes)
  if (format === 'raw') return raw
  const path = join(directory, `boot.${format}`)
  const how = format === 'qcow2' ? ['-c'] : ['-o', 'subformat=streamOptimized']
  runTool('qemu-img', ['convert', '-f', 'raw', '-O', format, ...how, raw, path])
  return path
}

function tableOf({ table, esp, code }: BootImage): string {
  const isGpt = table === 'gpt'
  const line = (start: number, sectors: number, type: string): string =>
    `start=${start}, size=${sectors}, type=${type}\n`
  return [
    `label: ${isGpt ? 'gpt' : 'dos'}\n`,
    isGpt && code !== null ? line(LBA.biosBoot, 2048, '21686148-6449-6E6F-744E-656564454649') : '',
    esp === null ? '' : line(LBA.esp, ESP_BYTES / SECTOR, isGpt ? 'uefi' : 'ef'),
    line(LBA.linux, 6144, isGpt ? 'linux' : '83'),
  ].join('')
}
