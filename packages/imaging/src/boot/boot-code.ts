import { MBR_SIZE } from '../table/mbr.ts'

/** Whose BIOS boot code stands in sector 0, as far as its messages tell. */
export type BootCode = 'grub' | 'syslinux' | 'windows' | 'unknown'

/** The code of a master boot record, whatever the partition table (UEFI specification 2.10, section 5.2.1). */
const CODE_BYTES = 440

const messages: [kind: BootCode, text: string][] = [
  ['grub', 'GRUB \0Geom\0'], // boot.img of GRUB 2 and stage1 of GRUB legacy
  ['syslinux', 'Operating system load error'], // mbr.bin
  ['syslinux', 'Missing OS\r\n'], // gptmbr.bin
  ['syslinux', 'isolinux.bin missing or corrupt'], // isohdpfx.bin of isohybrid
  ['windows', 'TCPA'], // asked of the BIOS since Windows Vista, whatever the language of the messages
  ['windows', 'Error loading operating system'],
]

/** The kind of BIOS boot code in the first 512 bytes of a disk; null where there is none. */
export function bootCodeOf(sector: Uint8Array): BootCode | null {
  const code = Buffer.from(sector.buffer, sector.byteOffset, CODE_BYTES)
  if (code.every((byte) => byte === 0)) return null
  const text = code.toString('latin1')
  return messages.find(([, message]) => text.includes(message))?.[0] ?? 'unknown'
}

/** GRUB 2's boot.img: its jump, and where it keeps the place of its core (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`). */
const grub2Jump = [0xeb, 0x63]
const GRUB2_CORE_AT = 0x5c

/**
 * First LBA, in sectors of 512 bytes, of the core that GRUB 2's boot code loads; null for other code, and for boot_hybrid.img
 * of ISO images, which keeps it elsewhere.
 */
export function grubCoreLba(sector: Uint8Array): number | null {
  const isGrub2 = grub2Jump.every((byte, at) => sector[at] === byte)
  if (!isGrub2 || bootCodeOf(sector) !== 'grub') return null
  return (
    Number(Buffer.from(sector.buffer, sector.byteOffset, MBR_SIZE).readBigUInt64LE(GRUB2_CORE_AT)) || null
  )
}
