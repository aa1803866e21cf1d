/** The CPU that a program is for, by the machine type of its header; a hexadecimal number where it has no name here. */
export type Cpu = 'x64' | 'arm64' | 'ia32' | 'arm' | 'riscv64' | 'loongarch64' | `0x${string}`

export interface PeHeader {
  cpu: Cpu
  /** An application, as loaders are; drivers are not. */
  isApplication: boolean
}

/** Machine types of UEFI images (UEFI specification 2.10, section 2.1.1, and "PE Format", machine types). */
const machines: Record<number, Cpu> = {
  0x8664: 'x64',
  0xaa64: 'arm64',
  0x014c: 'ia32',
  0x01c2: 'arm',
  0x01c4: 'arm',
  0x5064: 'riscv64',
  0x6264: 'loongarch64',
}
const efiApplication = 10
/** Linkers put the header within the first KiB; one that is further away than this is taken for none. */
const maxHeaderOffset = 1024 * 1024
/** Signature, COFF header, and the optional header up to its field Subsystem. */
const headerBytes = 4 + 20 + 70

/**
 * Reads the headers of an EFI program ("PE Format", sections "MS-DOS stub" to "Optional header"). Null where it is none:
 * firmware does not start it.
 *
 * @param read bytes of the file; fewer than asked where it ends before
 */
export async function readPeHeader(
  read: (offset: number, length: number) => Promise<Buffer>,
): Promise<PeHeader | null> {
  const dos = await read(0, 64)
  if (dos.length < 64 || dos.toString('latin1', 0, 2) !== 'MZ') return null
  const at = dos.readUInt32LE(60)
  if (at > maxHeaderOffset) return null
  const header = await read(at, headerBytes)
  if (header.length < headerBytes || header.toString('latin1', 0, 4) !== 'PE\0\0') return null
  const machine = header.readUInt16LE(4)
  return {
    cpu: machines[machine] ?? `0x${machine.toString(16)}`,
    isApplication: header.readUInt16LE(24 + 68) === efiApplication,
  }
}
