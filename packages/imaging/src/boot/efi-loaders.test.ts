import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { openFat, type FatVolume } from '../filesystem/fat.ts'
import { readFatDirectory } from '../filesystem/fat-directory.ts'
import { fatWith, type Tree, volumeOf } from '../filesystem/testing/volumes.ts'
import { lacking } from '../table/testing/run-tool.ts'
import { readEsp } from './efi-loaders.ts'
import { efiProgram, machines } from './testing/efi-program.ts'

const skip = lacking('mkfs.vfat', 'mcopy')
const x64 = efiProgram({ machine: machines.x64 })
const driver = efiProgram({ machine: machines.x64, subsystem: 11 })

const loadersIn = async (image: Uint8Array): Promise<string[]> =>
  (await readEsp(volumeOf(image), null)).loaders.map(({ path, cpu }) => `${path} ${cpu}`)

const rows: [what: string, tree: Tree, loaders: string[]][] = [
  ['nothing', {}, []],
  ['no EFI directory', { 'BOOTX64.EFI': x64, 'boot/grubx64.efi': x64 }, []],
  ['the removable media path', { 'EFI/BOOT/BOOTX64.EFI': x64 }, ['\\EFI\\BOOT\\BOOTX64.EFI x64']],
  ['it in lower case', { 'efi/boot/bootx64.efi': x64 }, ['\\efi\\boot\\bootx64.efi x64']],
  [
    "Debian's files",
    {
      'EFI/debian/grubx64.efi': x64,
      'EFI/debian/mmx64.efi': x64,
      'EFI/debian/fbx64.efi': x64,
      'EFI/debian/shimx64.efi': x64,
      'EFI/debian/grub.cfg': Buffer.from('configfile'),
      'EFI/debian/BOOTX64.CSV': Buffer.from('shimx64.efi,debian,,'),
    },
    ['\\EFI\\debian\\shimx64.efi x64', '\\EFI\\debian\\grubx64.efi x64'],
  ],
  [
    'programs that start no system, and loaders whose names begin alike',
    {
      'EFI/a/fwupdx64.efi': x64,
      'EFI/a/memtest86+x64.efi': x64,
      'EFI/a/MokManager.efi': x64,
      'EFI/a/fbsd.efi': x64,
    },
    ['\\EFI\\a\\fbsd.efi x64'],
  ],
  [
    'several systems, the removable media path before shim, GRUB, systemd-boot, Windows and others',
    {
      'EFI/Linux/a-unified-kernel.efi': x64,
      'EFI/Microsoft/Boot/bootmgfw.efi': x64,
      'EFI/systemd/systemd-bootx64.efi': x64,
      'EFI/arch/grubx64.efi': x64,
      'EFI/ubuntu/shimx64.efi': x64,
      'EFI/BOOT/BOOTX64.EFI': x64,
    },
    [
      '\\EFI\\BOOT\\BOOTX64.EFI x64',
      '\\EFI\\ubuntu\\shimx64.efi x64',
      '\\EFI\\arch\\grubx64.efi x64',
      '\\EFI\\systemd\\systemd-bootx64.efi x64',
      '\\EFI\\Microsoft\\Boot\\bootmgfw.efi x64',
      '\\EFI\\Linux\\a-unified-kernel.efi x64',
    ],
  ],
  [
    'loaders for several CPUs',
    {
      'EFI/BOOT/BOOTAA64.EFI': efiProgram({ machine: machines.arm64 }),
      'EFI/BOOT/BOOTIA32.EFI': efiProgram({ machine: 0x14c }),
      'EFI/BOOT/BOOTX64.EFI': efiProgram({ machine: 0x1234 }),
    },
    ['\\EFI\\BOOT\\BOOTAA64.EFI arm64', '\\EFI\\BOOT\\BOOTIA32.EFI ia32', '\\EFI\\BOOT\\BOOTX64.EFI 0x1234'],
  ],
  [
    'drivers, text and cut programs in the place of loaders',
    {
      'EFI/refind/drivers/ext4_x64.efi': driver,
      'EFI/BOOT/BOOTX64.EFI': Buffer.from('Not an EFI program.'.repeat(9)),
      'EFI/BOOT/empty.efi': Buffer.alloc(0),
      'EFI/BOOT/short.efi': x64.subarray(0, 0x90),
      'EFI/BOOT/far.efi': Buffer.from(x64).fill(0xff, 60, 64),
      'EFI/BOOT/folder.efi/nothing': x64,
    },
    [],
  ],
  ['a loader three levels below EFI', { 'EFI/a/b/c/grubx64.efi': x64 }, []],
  [
    'a program whose header is behind its first KiB',
    { 'EFI/BOOT/BOOTX64.EFI': Buffer.concat([farHeader(5000), x64.subarray(0x80)]) },
    ['\\EFI\\BOOT\\BOOTX64.EFI x64'],
  ],
]

/** The start of a program whose header follows at `offset`. */
function farHeader(offset: number): Buffer {
  const start = Buffer.alloc(offset, 0x90)
  start.write('MZ', 0, 'latin1')
  start.writeUInt32LE(offset, 60)
  return start
}

for (const [what, tree, loaders] of rows) {
  test(`on a partition with ${what}, the loaders are ${loaders.length === 0 ? 'none' : 'these'}`, {
    skip,
  }, async () => {
    assert.deepEqual(await loadersIn(fatWith(tree)), loaders)
  })
}

const asked: [path: string, found: { path: string; cpu: string | null } | null][] = [
  ['\\EFI\\debian\\grubx64.efi', { path: '\\EFI\\debian\\grubx64.efi', cpu: 'x64' }],
  ['\\efi\\DEBIAN\\GrubX64.efi', { path: '\\EFI\\debian\\grubx64.efi', cpu: 'x64' }],
  ['/efi/debian/grubx64.efi', { path: '\\EFI\\debian\\grubx64.efi', cpu: 'x64' }],
  ['\\\\efi\\\\debian\\\\grubx64.efi', { path: '\\EFI\\debian\\grubx64.efi', cpu: 'x64' }],
  ['efi\\debian/grubx64.efi', { path: '\\EFI\\debian\\grubx64.efi', cpu: 'x64' }],
  ['\\loader.efi', { path: '\\loader.efi', cpu: 'x64' }],
  ['\\EFI\\debian\\grub.cfg', { path: '\\EFI\\debian\\grub.cfg', cpu: null }],
  ['\\EFI\\debian', null],
  ['\\EFI\\debian\\grubx64.efi\\more', null],
  ['\\EFI\\debian\\..\\debian\\grubx64.efi', null],
  ['\\EFI\\ubuntu\\grubx64.efi', null],
  ['\\', null],
  ['', null],
]

test('a path is looked up with either slash and in any case', { skip }, async () => {
  const image = fatWith({
    'EFI/debian/grubx64.efi': x64,
    'EFI/debian/grub.cfg': Buffer.from('text'),
    'loader.efi': x64,
  })
  for (const [path, found] of asked)
    assert.deepEqual((await readEsp(volumeOf(image), path)).asked, found, path)
})

const shim = '/usr/lib/shim/shimx64.efi.signed'

test("Debian's own shim and GRUB are programs for x64", {
  skip: skip || (!existsSync(shim) && 'shim-signed is not installed'),
}, async () => {
  const image = fatWith(
    { 'EFI/BOOT/BOOTX64.EFI': readFileSync(shim) },
    { bits: 12, sectorSize: 512, clusterSectors: 4, size: 4 * 1024 * 1024 },
  )
  assert.deepEqual(await loadersIn(image), ['\\EFI\\BOOT\\BOOTX64.EFI x64'])
})

test('a partition that holds no FAT says so', async () => {
  const content = await readEsp(volumeOf(Buffer.alloc(65536)), '\\EFI\\BOOT\\BOOTX64.EFI')
  assert.deepEqual(content, { loaders: [], asked: null, fault: 'is no FAT' })
})

/** Changes the entry of a name of 8.3 in the directory that holds it. */
function changeEntry(image: Buffer, name: string, change: (entry: Buffer) => void): void {
  const at = image.indexOf(Buffer.from(name, 'latin1'))
  assert.notEqual(at, -1, name)
  change(image.subarray(at, at + 32))
}

test('a broken directory does not hide the loaders of another', { skip }, async () => {
  const image = fatWith({ 'EFI/BROKEN/GRUBX64.EFI': x64, 'EFI/SOUND/GRUBX64.EFI': x64 })
  changeEntry(image, 'BROKEN     ', (entry) => void entry.writeUInt16LE(0xfff0, 26))
  const { loaders, fault } = await readEsp(volumeOf(image), null)
  assert.deepEqual(
    loaders.map(({ path }) => path),
    ['\\EFI\\SOUND\\GRUBX64.EFI'],
  )
  assert.match(fault ?? '', /refers to the cluster 65520/)
})

test('names that a terminal could take for commands are passed over', { skip }, async () => {
  const image = fatWith({ 'EFI/BOOT/BOOTX64.EFI': x64, 'EFI/BOOT/GRUBX64.EFI': x64 })
  changeEntry(image, 'GRUBX64 EFI', (entry) => void entry.write('\x1b[2J', 0, 'latin1'))
  assert.deepEqual(await loadersIn(image), ['\\EFI\\BOOT\\BOOTX64.EFI x64'])
})

const clusterOf = async (fat: FatVolume, ...path: string[]): Promise<number> => {
  let cluster: number | undefined
  for (const step of path)
    cluster = (await readFatDirectory(fat, cluster)).find(({ name }) => name === step)?.cluster
  return cluster ?? assert.fail(path.join('/'))
}

test('directories that hold themselves a thousand times end in a fault, and soon', {
  skip,
  timeout: 20_000,
}, async () => {
  const shape = { bits: 16, sectorSize: 512, clusterSectors: 64, size: 200 * 1024 * 1024 } as const
  const image = fatWith({ 'EFI/D/file': x64 }, shape)
  const fat = await openFat(volumeOf(image))
  const cluster = await clusterOf(fat, 'EFI')
  const at = fat.dataOffset + (cluster - 2) * fat.clusterSize
  for (let entry = 0; entry < fat.clusterSize; entry += 32) {
    image.fill(0, at + entry, at + entry + 32)
    image.write('D          ', at + entry, 'latin1')
    image.writeUInt8(0x10, at + entry + 11)
    image.writeUInt16LE(cluster, at + entry + 26)
  }
  const { loaders, fault } = await readEsp(volumeOf(image), null)
  assert.deepEqual(loaders, [])
  assert.match(fault ?? '', /needs more than \d+ bytes/)
})
