import type { ConfigDrive } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import { configDriveFiles } from './config-drive-files.ts'
import { buildFat } from './fat.ts'
import { buildIso9660 } from './iso9660.ts'

const mebibyte = 1024 * 1024
/** Content of a config drive: the same limit as OpenStack Ironic's. */
const maxContent = 64 * mebibyte
const label = 'config-2'

/**
 * The config drive as a volume labelled `config-2`, whole MiB: ISO 9660, or FAT for a disk with 4096 byte sectors, on which
 * Linux cannot mount ISO 9660 (its blocks of 2048 bytes are smaller than a sector). The same content gives the same bytes.
 *
 * @throws ImagingError CFG when the content is over 64 MiB or names a key twice
 */
export function buildConfigDrive(content: ConfigDrive, sectorSize: 512 | 4096): Uint8Array {
  const files = configDriveFiles(content)
  const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0)
  if (bytes > maxContent) {
    throw new ImagingError('CFG', {
      cause: `The content of the config drive has ${bytes} bytes, more than ${maxContent}.`,
      remedy: 'Make the user data smaller, for example by letting it fetch what is large.',
    })
  }
  // Half a MiB is more than the structures of either volume need: for 64 MiB, two FATs have 64 KiB.
  const size = Math.ceil((bytes + mebibyte / 2) / mebibyte) * mebibyte
  return sectorSize === 512 ? buildIso9660(label, files, size) : buildFat(label, files, size)
}
