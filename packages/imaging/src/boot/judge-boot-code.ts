import { ImagingError } from '../error.ts'
import { hasBootSignature } from '../table/mbr.ts'
import { bootCodeOf, grubCoreLba } from './boot-code.ts'
import type { BootFacts } from './look-at-boot.ts'

/** The partition in which GRUB keeps its core on a GPT disk that boots by BIOS. */
const biosBootType = '21686148-6449-6e6f-744e-656564454649'

/**
 * What may keep a BIOS from booting the image, one sentence each.
 * @throws ImagingError BOOT when nothing there can be booted
 */
export function judgeBootCode({ sector, table, isGrubCoreEmpty }: BootFacts): string[] {
  if (!sector) return []
  const isSigned = table?.kind !== 'none' || hasBootSignature(sector) // beside a table it is there, or will be written
  if (bootCodeOf(sector) === null || !isSigned) {
    throw new ImagingError('BOOT', {
      cause:
        'The server boots in legacy mode, and the first sector of the image has no boot code for a BIOS.',
      remedy:
        'Install a boot loader for BIOS in the image (for GRUB: grub-install --target=i386-pc), or use a server that boots by UEFI.',
    })
  }
  const lba = grubCoreLba(sector)
  if (lba === null || !table) return []
  const place = `GRUB's boot code loads its core from sector ${lba}`
  if (isGrubCoreEmpty) return [`${place}, which is empty, so it will probably not boot.`]
  if (table.kind !== 'gpt') return []
  const isEmbedded = table.entries.some(
    ({ type, startLba, endLba }) => type === biosBootType && startLba <= lba && lba <= endLba,
  )
  return isEmbedded ? [] : [`${place}, which is in no BIOS boot partition, so it may be overwritten one day.`]
}
