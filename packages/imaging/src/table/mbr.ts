/**
 * Master Boot Record: the first 512 bytes of a disk (UEFI specification 2.10, section 5.2, has its fields). Starts and
 * lengths in sectors of the disk.
 */
export const MBR_SIZE = 512

export interface MbrEntry {
  /** 1-based slot. */
  number: number
  /** 0x00 or 0x80 in a sound table. */
  bootFlag: number
  type: number
  startLba: number
  sectors: number
}

const tableAt = 446
const entrySize = 16
const protectiveType = 0xee
const extendedTypes = new Set([0x05, 0x0f, 0x85])
/** CHS value for an address that CHS cannot express. */
const chsBeyond = [0xff, 0xff, 0xff]

export const isExtended = (entry: MbrEntry): boolean => extendedTypes.has(entry.type)
export const isProtective = (entry: MbrEntry): boolean => entry.type === protectiveType

const view = (sector: Uint8Array): Buffer => Buffer.from(sector.buffer, sector.byteOffset, sector.length)

/** True where the sector ends in 55 AA. File system boot sectors do so too: see `isFileSystemBootSector`. */
export const hasBootSignature = (sector: Uint8Array): boolean => sector[510] === 0x55 && sector[511] === 0xaa

/** The used entries of a partition sector: those with a type. Empty without 55 AA. */
export function decodeMbrEntries(sector: Uint8Array): MbrEntry[] {
  if (!hasBootSignature(sector)) return []
  const bytes = view(sector)
  return [0, 1, 2, 3]
    .map((slot) => {
      const at = tableAt + slot * entrySize
      return {
        number: slot + 1,
        bootFlag: bytes.readUInt8(at),
        type: bytes.readUInt8(at + 4),
        startLba: bytes.readUInt32LE(at + 8),
        sectors: bytes.readUInt32LE(at + 12),
      }
    })
    .filter((entry) => entry.type !== 0)
}

/** Slots of which every byte is zero, 1-based. A type 0 entry with other bytes set belongs to somebody (isohybrid). */
export const freeMbrSlots = (sector: Uint8Array): number[] =>
  [1, 2, 3, 4].filter((number) => {
    const at = tableAt + (number - 1) * entrySize
    return sector.subarray(at, at + entrySize).every((byte) => byte === 0)
  })

/** Writes an entry into its slot, in place, with CHS fields that say "use the LBA". */
export function putMbrEntry(sector: Uint8Array, entry: MbrEntry): void {
  const at = tableAt + (entry.number - 1) * entrySize
  const bytes = view(sector)
  bytes.writeUInt8(entry.bootFlag, at)
  bytes.set(isProtective(entry) ? [0x00, 0x02, 0x00] : chsBeyond, at + 1)
  bytes.writeUInt8(entry.type, at + 4)
  bytes.set(chsBeyond, at + 5)
  bytes.writeUInt32LE(entry.startLba, at + 8)
  bytes.writeUInt32LE(entry.sectors, at + 12)
}

/** Gives the entry in slot `number` another length, in place; its last address says "use the LBA" from then on. */
export function setMbrLength(sector: Uint8Array, number: number, sectors: number): void {
  const at = tableAt + (number - 1) * entrySize
  const bytes = view(sector)
  bytes.set(chsBeyond, at + 5)
  bytes.writeUInt32LE(sectors, at + 12)
}

const cover = (sectors: number): number => Math.min(sectors - 1, 0xffff_ffff)

/**
 * A copy of sector 0 whose protective entry covers a disk of `diskSectors` (UEFI specification 2.10, section 5.2.3), and
 * what had to be put right. A hybrid MBR, which lists real partitions too, is kept: other systems boot by it. Boot code is
 * kept in any case. `imageSectors` tells an entry that was right for the image from one that never was.
 */
export function protectiveMbr(sector: Uint8Array, diskSectors: number, imageSectors: number) {
  const mbr = Uint8Array.from(sector)
  const entries = decodeMbrEntries(sector)
  const protective = entries.find(isProtective)
  if (protective && entries.length > 1) {
    return { mbr, notes: ['The image has a hybrid MBR; it was kept as it is.'] }
  }
  const notes: string[] = []
  if (!protective) notes.push('The image had no protective MBR; one was written.')
  else if (protective.startLba !== 1 || ![cover(imageSectors), 0xffff_ffff].includes(protective.sectors)) {
    notes.push('The protective MBR did not cover the image; it was put right.')
  }
  const flag = protective?.bootFlag ?? 0
  if (flag !== 0 && flag !== 0x80)
    notes.push(`The protective MBR had the boot flag 0x${flag.toString(16)}; it was cleared.`)
  if (!protective) mbr.fill(0, tableAt, 510)
  mbr.set([0x55, 0xaa], 510)
  putMbrEntry(mbr, {
    number: protective?.number ?? 1,
    // Some firmware boots a GPT disk in legacy mode only where the protective entry is active: 0x80 stays.
    bootFlag: flag === 0x80 ? flag : 0,
    type: protectiveType,
    startLba: 1,
    sectors: cover(diskSectors),
  })
  return { mbr, notes }
}

/** True for the boot sector of a FAT, exFAT or NTFS volume, which ends in 55 AA as well but holds no partition table. */
export function isFileSystemBootSector(sector: Uint8Array): boolean {
  if (!hasBootSignature(sector) || (sector[0] !== 0xeb && sector[0] !== 0xe9)) return false
  const bytes = view(sector)
  if (['NTFS    ', 'EXFAT   '].includes(bytes.toString('latin1', 3, 11))) return true
  const bytesPerSector = bytes.readUInt16LE(11)
  const fats = bytes.readUInt8(16)
  const media = bytes.readUInt8(21)
  return (
    [512, 1024, 2048, 4096].includes(bytesPerSector) &&
    bytes.readUInt16LE(14) > 0 &&
    (fats === 1 || fats === 2) &&
    (media === 0xf0 || media >= 0xf8)
  )
}
