import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { lacking, runTool } from '../table/testing/run-tool.ts'
import { type FatVolume, openFat, readChain } from './fat.ts'
import { type FatEntry, readFatDirectory } from './fat-directory.ts'
import {
  type FatShape,
  fatWith,
  formatFat,
  inScratch,
  smallFat,
  type Tree,
  volumeOf,
  writeTree,
} from './testing/volumes.ts'
import { VolumeFault } from './volume.ts'

const MiB = 1024 * 1024
const skip = lacking('mkfs.vfat', 'mcopy', 'mdir')

const shapes: FatShape[] = [
  { bits: 12, sectorSize: 512, clusterSectors: 1, size: 1 * MiB },
  { bits: 12, sectorSize: 512, clusterSectors: 8, size: 8 * MiB },
  { bits: 12, sectorSize: 4096, clusterSectors: 1, size: 8 * MiB },
  { bits: 16, sectorSize: 512, clusterSectors: 1, size: 8 * MiB },
  { bits: 16, sectorSize: 512, clusterSectors: 8, size: 33 * MiB },
  { bits: 16, sectorSize: 4096, clusterSectors: 1, size: 33 * MiB },
  { bits: 32, sectorSize: 512, clusterSectors: 1, size: 40 * MiB },
  { bits: 32, sectorSize: 512, clusterSectors: 8, size: 300 * MiB },
  { bits: 32, sectorSize: 4096, clusterSectors: 1, size: 300 * MiB },
]

const bytesOf = (length: number, seed: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, index) => (index * 31 + seed * 7 + (index >> 8)) & 0xff))

const tree: Tree = {
  'EFI/BOOT/BOOTX64.EFI': bytesOf(70_000, 1),
  'EFI/debian/shimx64.efi': bytesOf(5000, 2),
  'lower.txt': bytesOf(1, 3),
  'Mixed.Case': bytesOf(511, 4),
  'UPPER.TXT': bytesOf(512, 5),
  noextension: bytesOf(513, 6),
  empty: Buffer.alloc(0),
  'names/many.dots.in.this.name': bytesOf(9, 7),
  'names/a name of exactly 26 lette': bytesOf(9, 8),
  [`names/${'long '.repeat(50)}name`]: bytesOf(100, 9),
  'names/Größe und Übermaß – 日本語.txt': bytesOf(10, 10),
  'deep/er/and/deeper/file': bytesOf(2000, 11),
}

/** Every file of the volume, by our reader. */
async function allFiles(fat: FatVolume): Promise<Map<string, FatEntry>> {
  const files = new Map<string, FatEntry>()
  const walk = async (path: string, cluster: number | undefined): Promise<void> => {
    for (const entry of await readFatDirectory(fat, cluster)) {
      if (entry.isDirectory) await walk(`${path}${entry.name}/`, entry.cluster)
      else files.set(`${path}${entry.name}`, entry)
    }
  }
  await walk('', undefined)
  return files
}

async function assertHolds(image: Uint8Array, expected: Tree): Promise<void> {
  const fat = await openFat(volumeOf(image))
  const files = await allFiles(fat)
  assert.deepEqual([...files.keys()].toSorted(), Object.keys(expected).toSorted())
  for (const [path, bytes] of Object.entries(expected)) {
    const { cluster, size } = files.get(path) ?? assert.fail(path)
    assert.equal(size, bytes.length, path)
    const content = size === 0 ? Buffer.alloc(0) : await readChain(fat, cluster, 0, size)
    assert.ok(content.equals(bytes), path)
    if (size > 600)
      assert.ok((await readChain(fat, cluster, 500, 100)).equals(bytes.subarray(500, 600)), path)
  }
}

for (const shape of shapes) {
  const { bits, sectorSize, clusterSectors, size } = shape
  const name = `FAT${bits} of ${size / MiB} MiB in sectors of ${sectorSize} and clusters of ${clusterSectors}`
  test(`${name} reads as it was written by mtools`, { skip }, async () => {
    const image = fatWith(tree, shape)
    assert.equal((await openFat(volumeOf(image))).bits, bits)
    await assertHolds(image, tree)
  })
}

for (const shape of [shapes[0], shapes[3], shapes[6]].filter((each) => each !== undefined)) {
  test(`directories of FAT${shape.bits} in pieces, with deleted files between, read as mdir lists them`, {
    skip,
  }, async () => {
    const files: Tree = Object.fromEntries(
      Array.from({ length: 240 }, (_, index) => [
        `${index % 2 === 0 ? 'even' : 'odd'}/a file with a long name ${index}`,
        bytesOf(300, index),
      ]),
    )
    let listed = ''
    const image = inScratch(shape.size, (path, directory) => {
      formatFat(path, shape)
      const source = join(directory, 'tree')
      mkdirSync(source)
      writeTree(source, files)
      runTool('mmd', ['-i', path, '::even', '::odd'])
      const names = Object.keys(files)
      // In turn, so that the clusters of the two directories lie between those of the files.
      for (let at = 0; at < names.length; at += 20) {
        for (const top of ['even', 'odd']) {
          const part = names.slice(at, at + 20).filter((name) => name.startsWith(top))
          runTool('mcopy', ['-i', path, ...part.map((name) => join(source, name)), `::${top}`])
        }
      }
      const gone = names.filter((_, index) => index % 3 === 0)
      runTool('mdel', ['-i', path, ...gone.map((name) => `::${name}`)])
      for (const name of gone) delete files[name]
      listed = execFileSync('mdir', ['-/', '-b', '-i', path, '::'], { encoding: 'utf8' })
    })
    await assertHolds(image, files)
    const paths = listed.split('\n').filter((line) => line !== '' && !line.endsWith('/'))
    assert.deepEqual(paths.map((line) => line.replace('::/', '')).toSorted(), Object.keys(files).toSorted())
  })
}

test('a FAT32 with fewer clusters than the specification wants reads as GRUB reads it', {
  skip: skip || lacking('grub-fstest'),
}, async () => {
  let byGrub = ''
  const image = inScratch(33 * MiB, (path) => {
    formatFat(path, { bits: 32, sectorSize: 512, clusterSectors: 8, size: 33 * MiB })
    const bytes = readFileSync(path)
    const entry = Buffer.alloc(32)
    entry.write('SMALL   TXT', 0, 'latin1')
    entry.writeUInt16LE(3, 26)
    entry.writeUInt32LE(5, 28)
    // mtools refuses such a volume, so a file is put there by hand: FAT at sector 32, one entry in the root, one cluster.
    bytes.writeUInt32LE(0x0fff_ffff, 32 * 512 + 3 * 4)
    const root = bytes.readUInt32LE(36) * 2 * 512 + 32 * 512
    entry.copy(bytes, root + 32)
    bytes.write('hello', root + 8 * 512, 'latin1')
    writeFileSync(path, bytes)
    byGrub = runTool('grub-fstest', [path, 'cat', '(loop0)/small.txt'])
  })
  assert.equal(byGrub, 'hello')
  const fat = await openFat(volumeOf(image))
  const [entry] = await readFatDirectory(fat)
  assert.deepEqual([fat.bits, entry?.name, entry?.size], [32, 'SMALL.TXT', 5])
  assert.equal((await readChain(fat, entry?.cluster ?? 0, 0, 5)).toString(), byGrub)
})

test('a short name tells its case by the flags of Windows NT, and E5 stands for itself', {
  skip,
}, async () => {
  const image = fatWith({ 'LOADER.EFI': bytesOf(1, 1) })
  const at = image.indexOf('LOADER  EFI')
  const names: string[] = []
  for (const flags of [0x00, 0x08, 0x10, 0x18]) {
    image[at + 12] = flags
    names.push(...(await allFiles(await openFat(volumeOf(image)))).keys())
  }
  image[at] = 0x05
  names.push(...(await allFiles(await openFat(volumeOf(image)))).keys())
  assert.deepEqual(names, ['LOADER.EFI', 'loader.EFI', 'LOADER.efi', 'loader.efi', 'åoader.efi'])
})

test('a long name whose parts do not belong together gives way to the short one', { skip }, async () => {
  const sound = fatWith({ 'a longer name than eight': bytesOf(1, 1) })
  const first = sound.indexOf(Buffer.from('a lon', 'utf16le')) - 1
  const changes: [what: string, at: number, value: number][] = [
    ['another checksum', first + 13, (sound[first + 13] ?? 0) ^ 1],
    ['another order', first, 0x03],
    ['a first part that was deleted', first, 0xe5],
  ]
  for (const [what, at, value] of changes) {
    const image = Buffer.from(sound)
    image[at] = value
    assert.deepEqual([...(await allFiles(await openFat(volumeOf(image)))).keys()], ['ALONGE~1'], what)
  }
})

const putU16 = (at: number, value: number) => (image: Buffer) => void image.writeUInt16LE(value, at)
const putU8 = (at: number, value: number) => (image: Buffer) => void image.writeUInt8(value, at)

const noFat: [what: string, change: (image: Buffer) => void][] = [
  ['zeros', (image) => void image.fill(0)],
  ['sectors of 1000 bytes', putU16(11, 1000)],
  ['clusters of 3 sectors', putU8(13, 3)],
  ['clusters of no sector', putU8(13, 0)],
  ['no reserved sector', putU16(14, 0)],
  ['no FAT', putU8(16, 0)],
  ['FATs of no sector', (image) => (putU16(22, 0)(image), putU16(36, 0)(image), putU16(38, 0)(image))],
  ['no sector at all', (image) => (putU16(19, 0)(image), putU16(32, 0)(image), putU16(34, 0)(image))],
  ['more root entries than sectors', putU16(17, 0xffff)],
]

for (const [what, change] of noFat) {
  test(`a boot sector with ${what} is a fault`, { skip }, async () => {
    const image = fatWith({})
    change(image)
    await assert.rejects(openFat(volumeOf(image)), VolumeFault)
  })
}

/** A FAT12 volume whose directory EFI was changed, at the byte and the cluster where that is. */
async function withEfi(change: (image: Buffer, at: number, cluster: number, fat: FatVolume) => void) {
  const image = fatWith({ 'EFI/file': bytesOf(1, 1) }, { ...smallFat, bits: 16, size: 8 * MiB })
  const fat = await openFat(volumeOf(image))
  const [efi] = await readFatDirectory(fat)
  const cluster = efi?.cluster ?? assert.fail('no EFI')
  change(image, fat.dataOffset + (cluster - 2) * fat.clusterSize, cluster, fat)
  return readFatDirectory(await openFat(volumeOf(image)), cluster)
}

const setFat = (image: Buffer, fat: FatVolume, cluster: number, value: number): void =>
  void image.writeUInt16LE(value, fat.fatOffset + cluster * 2)

for (const value of [0, 1, 0xfff0, 0xfff7]) {
  test(`a directory whose chain leads to cluster ${value} is a fault`, { skip }, async () => {
    const broken = withEfi((image, at, cluster, fat) => {
      image.fill(0x41, at, at + fat.clusterSize)
      setFat(image, fat, cluster, value)
    })
    await assert.rejects(broken, VolumeFault)
  })
}

test('a directory that leads back to itself ends in a fault, and soon', {
  skip,
  timeout: 10_000,
}, async () => {
  const endless = withEfi((image, at, cluster, fat) => {
    image.fill(0x41, at, at + fat.clusterSize)
    setFat(image, fat, cluster, cluster)
  })
  await assert.rejects(endless, VolumeFault)
})

test('what stands after the end of a directory is not looked at', { skip }, async () => {
  const entries = await withEfi((_image, _at, cluster, fat) => setFat(_image, fat, cluster, cluster))
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['file'],
  )
})
