/** The headers of an EFI program ("PE Format"), padded to `size` bytes with data; nothing in it runs. */
export function efiProgram(options: { machine?: number; subsystem?: number; size?: number } = {}): Buffer {
  const { machine = machineOf(process.arch), subsystem = 10, size = 4096 } = options
  const program = Buffer.alloc(size, 0x90)
  program.write('MZ', 0, 'latin1')
  program.writeUInt32LE(0x80, 60)
  program.write('PE\0\0', 0x80, 'latin1')
  program.writeUInt16LE(machine, 0x84)
  program.writeUInt16LE(subsystem, 0x80 + 24 + 68)
  return program
}

export const machines = { x64: 0x8664, arm64: 0xaa64 }

const machineOf = (arch: string): number => (arch === 'arm64' ? machines.arm64 : machines.x64)

/** A CPU that this machine has not. */
export const foreignMachine = process.arch === 'arm64' ? machines.x64 : machines.arm64

/** `BOOTX64.EFI` or `BOOTAA64.EFI`: what firmware starts without a boot entry. */
export const removableName = process.arch === 'arm64' ? 'BOOTAA64.EFI' : 'BOOTX64.EFI'
