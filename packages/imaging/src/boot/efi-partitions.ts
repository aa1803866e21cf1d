import type { EfiSystemPartition } from '../deploy-image.types.ts'
import { decodeMbrEntries, type MbrEntry } from '../table/mbr.ts'
import type { ImageTable } from '../table/read-table.ts'

/** Types of an EFI system partition (UEFI specification 2.10, tables 5.7 and 5.3). */
export const EFI_SYSTEM_GPT = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
export const EFI_SYSTEM_MBR = 0xef

/**
 * The EFI system partitions of a table, in its order. Beside a GPT without one, those of a hybrid MBR count.
 *
 * @param sector the first 512 bytes of the disk
 */
export function efiPartitions(table: ImageTable, sector: Uint8Array): EfiSystemPartition[] {
  if (table.kind === 'mbr') return ofMbr([...table.primary, ...table.logical], sector)
  if (table.kind === 'none') return []
  const found = table.entries.filter(({ type }) => type === EFI_SYSTEM_GPT)
  if (found.length === 0) return ofMbr(decodeMbrEntries(sector), sector)
  return found.map(({ number, guid, startLba, endLba }) => ({
    number,
    guid,
    mbrSignature: null,
    startLba,
    sectors: endLba - startLba + 1,
  }))
}

function ofMbr(entries: MbrEntry[], sector: Uint8Array): EfiSystemPartition[] {
  const mbrSignature = Buffer.from(sector.buffer, sector.byteOffset, sector.length).readUInt32LE(440)
  return entries
    .filter(({ type, sectors }) => type === EFI_SYSTEM_MBR && sectors > 0)
    .map(({ number, startLba, sectors }) => ({ number, guid: null, mbrSignature, startLba, sectors }))
}
