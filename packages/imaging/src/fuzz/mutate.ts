import type { Random } from './random.ts'

/** A number in a file that means something. `bytes`: its width. */
export interface Field {
  at: number
  bytes: 1 | 2 | 4 | 8
}

export type Endian = 'big' | 'little'

export function readField(file: Buffer, { at, bytes }: Field, endian: Endian): bigint {
  const value = file.subarray(at, at + bytes)
  const digits = endian === 'big' ? value : Buffer.from(value).reverse()
  return digits.length === 0 ? 0n : BigInt(`0x${digits.toString('hex')}`)
}

/** What lies outside the file is dropped. */
export function writeField(file: Buffer, { at, bytes }: Field, value: bigint, endian: Endian): void {
  for (let place = 0; place < bytes; place++) {
    const byte = Number((value >> BigInt(8 * place)) & 0xffn)
    const offset = endian === 'big' ? at + bytes - 1 - place : at + place
    if (offset < file.length) file[offset] = byte
  }
}

/** Gives the field a value on, or next to, an edge: of its width, of what it was, of the file, or of another field. */
export function bendField(
  file: Buffer,
  field: Field,
  others: readonly Field[],
  endian: Endian,
  random: Random,
): void {
  const old = readField(file, field, endian)
  const all = (1n << BigInt(8 * field.bytes)) - 1n
  const step = BigInt(random.pick([1, 2, 8, 511, 512, 4096, 65_536]))
  const value = random.pick([
    () => 0n,
    () => BigInt(random.below(8)),
    () => all - BigInt(random.below(3)),
    () => all >> 1n,
    () => (all >> 1n) + 1n,
    () => old + step,
    () => old - step,
    () => old ^ (1n << BigInt(random.below(8 * field.bytes))),
    () => old << 1n,
    () => BigInt(file.length) + BigInt(random.between(-512, 512)),
    () => readField(file, random.pick(others), endian),
    () => BigInt(random.below(2 ** 32)),
  ])()
  writeField(file, field, value & all, endian)
}

/** Damage that knows nothing of the format: what a bad cable, disk or transfer does, and what cuts and pastes. */
export function damage(file: Buffer, random: Random): Buffer {
  if (file.length === 0) return file
  const at = random.below(file.length)
  const length = random.between(1, Math.min(512, file.length - at))
  return random.pick([
    () => {
      file[at] = (file[at] as number) ^ (1 << random.below(8))
      return file
    },
    () => {
      file[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])
      return file
    },
    () => file.subarray(0, at), // cut off
    () => Buffer.concat([file, random.chance(0.5) ? Buffer.alloc(length) : random.bytes(length)]),
    () => Buffer.concat([file.subarray(0, at), file.subarray(at + length)]), // bytes are missing
    () => Buffer.concat([file.subarray(0, at), file.subarray(at, at + length), file.subarray(at)]), // came twice
    () => file.fill(random.pick([0, 0xff]), at, at + length),
    () => {
      file.copy(file, random.below(file.length), at, at + length)
      return file
    },
  ])()
}

/** Zero to four times one of `ways`, most often once; each takes the file and gives the changed one. */
export function mutated(
  file: Buffer,
  random: Random,
  ways: readonly ((file: Buffer) => Buffer)[],
  most = 4,
): Buffer {
  let result = file
  const edits = random.pick([0, 1, 1, 1, 2, 3, most])
  for (let edit = 0; edit < edits; edit++) result = random.pick(ways)(result)
  return result
}
