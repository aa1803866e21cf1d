/** What a boot sector does after it has said its word. */
export type After = 'halt' | 'reset' | 'off'

/** x86 real-mode code. */
const code = {
  // xor ax, ax; mov ds, ax; mov si, 0x7c80; and for each byte up to a zero: lodsb; mov ah, al; then, once the transmitter's
  // holding register is empty (0x3fd, bit 5), mov dx, 0x3f8; mov al, ah; out dx, al.
  say: '31c0 8ed8 be807c ac 84c0 7412 88c4 bafd03 ec a820 74fb baf803 88e0 ee ebe9',
  // What is said must be on the line before the machine goes: mov dx, 0x3fd; until bit 6 is set: in al, dx.
  drain: 'bafd03 ec a840 74fb',
  // cli; hlt; and again
  halt: 'fa f4 ebfc',
  // mov dx, 0xcf9; mov al, 6; out dx, al: the reset control register of the ICH9.
  reset: 'baf90c b006 ee',
  // mov dx, 0x604; mov ax, 0x2000; out dx, ax: ACPI's PM1a control register, where SeaBIOS puts it; sleep type 0, sleep enable.
  off: 'ba0406 b80020 ef',
}

/**
 * The smallest operating system: prints a word on the first serial port and then halts, resets or turns the server off.
 * @returns 512 bytes for 0000:7c00, with the signature of a boot sector.
 */
export function bootSector(word: string, then: After): Buffer {
  const sector = Buffer.alloc(512)
  sector.write(`${code.say}${code.drain}${code[then]}${code.halt}`.replaceAll(' ', ''), 'hex')
  sector.write(`${word}\n`, 0x80, 'latin1')
  sector.writeUInt16LE(0xaa_55, 510)
  return sector
}
