import assert from 'node:assert/strict'
import { test } from 'node:test'
import { extWith, fatWith, type Tree, volumeOf } from '../filesystem/testing/volumes.ts'
import { Random } from '../fuzz/random.ts'
import { lacking } from '../table/testing/run-tool.ts'
import { readEsp } from './efi-loaders.ts'
import { findKernels } from './kernels.ts'
import { efiProgram } from './testing/efi-program.ts'

const MiB = 1024 * 1024
const skip = lacking('mkfs.vfat', 'mcopy', 'mke2fs')
const ROUNDS = 3000
/** Far more than a look takes, which is some ms, and far less than an endless one. */
const MOST_MS = 5000

const program = efiProgram({ size: 1024 })
const loaders: Tree = {
  'EFI/BOOT/BOOTX64.EFI': program,
  'EFI/debian/shimx64.efi': program,
  'EFI/debian/a loader with a long name.efi': program,
  'EFI/Microsoft/Boot/bootmgfw.efi': program,
}
const kernels: Tree = Object.fromEntries(
  Array.from({ length: 60 }, (_, index) => [
    `boot/vmlinuz-6.1.0-${index}-cloud-amd64`,
    program.subarray(0, 1),
  ]),
)

const fat = (bits: 12 | 16 | 32, size: number) => () =>
  fatWith(loaders, { bits, sectorSize: 512, clusterSectors: 1, size })
const ext = (type: string) => () =>
  extWith(kernels, ['-t', type, '-b', '1024', '-N', '128', '-O', '^has_journal'], MiB)

/** `tables`: ranges in which most of the damage is done. */
const rows: [
  name: string,
  make: () => Buffer,
  tables: (image: Buffer) => [from: number, length: number][],
][] = [
  ['FAT12', fat(12, 256 * 1024), () => [[11, 30]]],
  ['FAT16', fat(16, 3 * MiB), () => [[11, 30]]],
  ['FAT32', fat(32, 36 * MiB), () => [[11, 40]]],
  ['ext2', ext('ext2'), extTables],
  ['ext4', ext('ext4'), extTables],
]

/** Superblock, first group descriptor, and the inodes of the root and of what mke2fs made next. */
function extTables(image: Buffer): [from: number, length: number][] {
  const inodeSize = image.readUInt16LE(1024 + 88)
  const table = image.readUInt32LE(2048 + 8) * 1024
  const inodes = [2, 11, 12, 13].map((number): [number, number] => [table + (number - 1) * inodeSize, 100])
  return [[1024, 104], [1024 + 254, 2], [2048, 48], ...inodes]
}

/** Places of bytes that are not zero, and so mean something; of long runs, as of the content of files, the begin only. */
function meaningful(image: Buffer): number[] {
  const places: number[] = []
  let run = 0
  for (let at = 0; at < image.length; at++) {
    run = image[at] === 0 || image[at] === 0x90 ? 0 : run + 1
    if (run > 0 && run < 64) places.push(at)
  }
  return places
}

/** Changes some bytes, and gives what puts them back. */
function mangle(image: Buffer, place: () => number, random: Random): () => void {
  const undo: [at: number, byte: number][] = []
  for (let edits = random.between(1, 6); edits > 0; edits--) {
    const at = place()
    undo.unshift([at, image[at] ?? 0])
    image[at] = random.pick([0, 1, 2, 0x7f, 0x80, 0xff, random.below(256)])
  }
  return () => undo.forEach(([at, byte]) => (image[at] = byte))
}

for (const [name, make, tables] of rows) {
  test(`a mangled ${name} is read in bounded time, and no way of being broken is an exception`, {
    skip,
  }, async () => {
    const random = new Random(1)
    const image = make()
    const sound = Buffer.from(image)
    const [places, ranges] = [meaningful(image), tables(image)]
    const place = (): number => {
      if (random.chance(0.4)) return random.pick(places)
      const [from, length] = random.pick(ranges)
      return from + random.below(length)
    }
    const outcomes = new Map<string, number>()
    let slowest = 0
    for (let round = 0; round < ROUNDS; round++) {
      const restore = mangle(image, place, random)
      const began = performance.now()
      const outcome = await look(image).catch((error: Error) => assert.fail(`round ${round}: ${error.stack}`))
      slowest = Math.max(slowest, performance.now() - began)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      restore()
    }
    assert.ok(image.equals(sound), 'reading changed the volume')
    assert.ok(outcomes.size > 5, `the damage did nothing: ${[...outcomes.keys()].join('; ')}`)
    assert.ok(slowest < MOST_MS, `the slowest look took ${slowest} ms`)
  })
}

/** Both readers over the same bytes, and what they found. */
async function look(image: Buffer): Promise<string> {
  const esp = await readEsp(volumeOf(image), '\\EFI\\debian\\shimx64.efi')
  const found = await findKernels(volumeOf(image))
  assert.ok(esp.loaders.length <= 64 && found.length <= 10_000)
  return `${esp.loaders.length} loaders, ${esp.asked?.path}, ${esp.fault}, ${found.length} kernels`
}
