/** What a boot sector does after it has said its word. */
export type After = 'halt' | 'reset' | 'off'

/** x86 real-mode code. */
const code = {
  // xor ax, ax; mov ds, ax; mov dx, 0x3f8; mov si, 0x7c80; and for each byte up to a zero: lodsb; out dx, al
  say: '31c0 8ed8 baf803 be807c ac 84c0 7403 ee ebf8',
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
  sector.write(`${code.say}${code[then]}${code.halt}`.replaceAll(' ', ''), 'hex')
  sector.write(`${word}\n`, 0x80, 'latin1')
  sector.writeUInt16LE(0xaa_55, 510)
  return sector
}
