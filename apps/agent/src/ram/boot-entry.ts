import type { EfiBoot } from '@byoi/imaging'
import type { EfiVariables } from './efivars.ts'
import { encodeLoadOption, loadOptionDescription } from './load-option.ts'

/** How our entry is called in the firmware's menu, and how it is found again. */
const description = 'byoi'

/**
 * Makes the server's firmware start the deployed disk first: a boot entry for its loader, in front of the boot order. An older entry of
 * ours is replaced, all others stay. The entry is written before the order that names it, so that a power cut leaves an entry that
 * nothing uses, or one that works.
 *
 * @returns its name, as `Boot0003`. Rejects where the firmware refuses: the disk is then found by its default loader alone.
 */
export async function writeBootEntry(variables: EfiVariables, boot: EfiBoot): Promise<string> {
  const entries = await bootEntries(variables)
  const ours = [...entries].filter(([, entry]) => loadOptionDescription(entry) === description)
  const number = ours[0]?.[0] ?? lowestFree(entries)
  const name = nameOf(number)
  const entry = encodeLoadOption(description, boot)
  // What is there already need not wear the flash.
  if (entries.get(number)?.equals(entry) !== true) await variables.write(name, entry)

  const before = (await variables.read('BootOrder')) ?? Buffer.alloc(0)
  const old = new Set(ours.map(([each]) => each))
  const after = orderBytes([number, ...numbersOf(before).filter((each) => each !== number && !old.has(each))])
  if (!after.equals(before)) await variables.write('BootOrder', after)
  for (const [each] of ours.slice(1)) await variables.remove(nameOf(each))
  return name
}

/** `Boot0000` to `BootFFFF`, four hexadecimal digits in upper case (UEFI 2.10, section 3.1.1). */
async function bootEntries(variables: EfiVariables): Promise<Map<number, Buffer>> {
  const entries = new Map<number, Buffer>()
  for (const name of (await variables.names()).sort()) {
    const [, digits] = /^Boot([0-9A-F]{4})$/.exec(name) ?? []
    const entry = digits === undefined ? null : await variables.read(name)
    if (digits !== undefined && entry !== null) entries.set(Number.parseInt(digits, 16), entry)
  }
  return entries
}

function lowestFree(entries: Map<number, Buffer>): number {
  for (let number = 0; number <= 0xffff; number++) if (!entries.has(number)) return number
  throw new Error('The firmware has no room for another boot entry.')
}

const nameOf = (number: number): string => `Boot${number.toString(16).toUpperCase().padStart(4, '0')}`

const numbersOf = (order: Buffer): number[] =>
  Array.from({ length: Math.floor(order.length / 2) }, (_, at) => order.readUInt16LE(at * 2))

function orderBytes(numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 2)
  for (const [at, number] of numbers.entries()) bytes.writeUInt16LE(number, at * 2)
  return bytes
}
