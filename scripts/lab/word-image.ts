/** Disk images that do nothing but say a word on the serial console: GRUB alone, for both firmwares. */
import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile, truncate, open } from 'node:fs/promises'
import { join } from 'node:path'
import { makeBiosLoader, makeEfiLoader } from '../debian-image/grub.ts'
import { command } from '../run-command.ts'

const mib = 1024 * 1024
const sector = 512
const biosLba = 2048
const espLba = 4096

export interface WordImage {
  path: string
  /** Of the file, lower-case hex. */
  sha256: string
  /** Of the file. */
  bytes: number
}

/** GRUB stops after its word, as a system does that has come up. */
const script = (word: string): string => `serial --unit=0 --speed=115200
terminal_output serial
echo "${word}"
sleep 100000
`

/**
 * Makes the qcow2 image `NAME.qcow2` in `directory`: GPT with BIOS boot and EFI system partition.
 *
 * @param word What it says: letters, digits, blanks.
 * @param fill MiB of random data on the EFI system partition, which make the image larger.
 */
export async function wordImage(directory: string, name: string, word: string, fill = 1): Promise<WordImage> {
  const raw = join(directory, `${name}.raw`)
  const espSectors = ((fill + 7) * mib) / sector
  await writeFile(raw, '')
  await truncate(raw, espLba * sector + espSectors * sector + mib)
  const table = [
    'label: gpt',
    `start=${biosLba}, size=${espLba - biosLba}, type=21686148-6449-6E6F-744E-656564454649`,
    `start=${espLba}, size=${espSectors}, type=uefi`,
  ]
  await command('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', raw], { input: `${table.join('\n')}\n` })
  const { bootCode, core } = await makeBiosLoader(directory, script(word), biosLba)
  const disk = await open(raw, 'r+')
  try {
    await disk.write(bootCode, 0, bootCode.length, 0)
    await disk.write(core, 0, core.length, biosLba * sector)
    const esp = await makeEsp(directory, name, espSectors, word, fill)
    await disk.write(esp, 0, esp.length, espLba * sector)
  } finally {
    await disk.close()
  }
  const path = join(directory, `${name}.qcow2`)
  await command('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path])
  const bytes = await readFile(path)
  return { path, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length }
}

async function makeEsp(
  directory: string,
  name: string,
  sectors: number,
  word: string,
  fill: number,
): Promise<Buffer> {
  const esp = join(directory, `${name}.esp`)
  const data = join(directory, `${name}.data`)
  const loader = await makeEfiLoader(directory, script(word))
  await writeFile(data, randomBytes(fill * mib))
  await writeFile(esp, '')
  await truncate(esp, sectors * sector)
  await command('mkfs.vfat', ['-n', 'ESP', esp])
  await command('mmd', ['-i', esp, '::/EFI', '::/EFI/BOOT'])
  await command('mcopy', ['-i', esp, loader, '::/EFI/BOOT/BOOTX64.EFI'])
  await command('mcopy', ['-i', esp, data, '::/data'])
  return await readFile(esp)
}
