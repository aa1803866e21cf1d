import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { lacking, runTool } from '../table/testing/run-tool.ts'
import { openExt, ROOT_INODE } from './ext.ts'
import { type ExtEntry, readExtDirectory } from './ext-directory.ts'
import { extWith, inScratch, type Tree, volumeOf } from './testing/volumes.ts'
import { VolumeFault } from './volume.ts'

const MiB = 1024 * 1024
const skip = lacking('mke2fs', 'debugfs')
const one = Buffer.from('1')

const small: Tree = {
  'boot/vmlinuz-6.1.0-1-amd64': one,
  'boot/grub/grub.cfg': one,
  'etc/fstab': one,
  ['n'.repeat(255)]: one,
  'Größe – 日本語': one,
}
const many: Tree = Object.fromEntries(
  Array.from({ length: 2500 }, (_, index) => [`boot/a file with a rather long name, number ${index}`, one]),
)

const rows: [name: string, args: string[], tree: Tree, size?: number][] = [
  ['ext2 in blocks of 1 KiB', ['-t', 'ext2', '-b', '1024'], small],
  ['ext2 in blocks of 4 KiB', ['-t', 'ext2', '-b', '4096'], small],
  ['ext2 of revision 0', ['-t', 'ext2', '-r', '0'], small],
  ['ext2 without file types', ['-t', 'ext2', '-O', '^filetype'], small],
  ['ext2 with a large directory, by indirect blocks', ['-t', 'ext2', '-b', '1024'], many, 16 * MiB],
  ['ext3 with a large directory', ['-t', 'ext3', '-b', '1024'], many, 32 * MiB],
  ['ext4 in blocks of 1 KiB', ['-t', 'ext4', '-b', '1024'], small],
  ['ext4 in blocks of 4 KiB', ['-t', 'ext4', '-b', '4096'], small, 16 * MiB],
  ['ext4 in blocks of 64 KiB', ['-t', 'ext4', '-b', '65536'], small, 64 * MiB],
  ['ext4 without 64 bit', ['-t', 'ext4', '-O', '^64bit'], small],
  ['ext4 without extents', ['-t', 'ext4', '-O', '^extents,^64bit'], small],
  ['ext4 with inodes of 128 bytes', ['-t', 'ext4', '-I', '128'], small],
  ['ext4 without flexible groups', ['-t', 'ext4', '-O', '^flex_bg', '-g', '1024'], small, 16 * MiB],
  ['ext4 with a large hashed directory', ['-t', 'ext4', '-b', '1024'], many, 16 * MiB],
  ['ext4 with a checksum seed', ['-t', 'ext4', '-O', 'metadata_csum_seed'], small],
  ['ext4 that folds case and may encrypt', ['-t', 'ext4', '-O', 'casefold,encrypt'], small],
]

/** Names of a directory, `.` and `..` left out. */
async function namesIn(image: Uint8Array, path: string[]): Promise<string[]> {
  const ext = await openExt(volumeOf(image))
  let entries: ExtEntry[] = await readExtDirectory(ext, ROOT_INODE)
  for (const step of path) {
    const inode = entries.find(({ name }) => name === step)?.inode
    entries = await readExtDirectory(ext, inode ?? assert.fail(`no ${step}`))
  }
  return entries.map(({ name }) => name).filter((name) => !/^\.\.?$/.test(name))
}

const childrenOf = (tree: Tree, folder: string): string[] => {
  const below = Object.keys(tree).filter((path) => path.startsWith(folder))
  return [...new Set(below.map((path) => path.slice(folder.length).split('/')[0] ?? ''))]
}

for (const [name, args, tree, size] of rows) {
  test(`${name} lists what mke2fs put into it`, { skip }, async () => {
    const image = extWith(tree, args, size)
    const expected = [...childrenOf(tree, ''), 'lost+found'].toSorted()
    assert.deepEqual((await namesIn(image, [])).toSorted(), expected)
    assert.deepEqual((await namesIn(image, ['boot'])).toSorted(), childrenOf(tree, 'boot/').toSorted())
  })
}

test('directories with removed and moved files read as debugfs lists them', { skip }, async () => {
  let listed = ''
  const image = inScratch(16 * MiB, (path, directory) => {
    runTool('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '1024', path])
    const commands = ['mkdir boot']
    for (let index = 0; index < 120; index++) commands.push(`mkdir boot/directory-${index}`)
    for (let index = 0; index < 120; index += 3) commands.push(`rmdir boot/directory-${index}`)
    const script = join(directory, 'commands')
    writeFileSync(script, commands.join('\n'))
    runTool('debugfs', ['-w', '-f', script, path])
    listed = runTool('debugfs', ['-R', 'ls -p boot', path])
  })
  const expected = [...listed.matchAll(/^\/[1-9]\d*\/[^/]*\/\d+\/\d+\/([^/]+)\//gm)].map(
    ([, name]) => name ?? '',
  )
  assert.deepEqual(
    await namesIn(image, ['boot']),
    expected.filter((name) => !/^\.\.?$/.test(name)),
  )
  assert.ok(expected.length > 80)
})

const refused: [name: string, args: string[]][] = [
  ['meta block groups', ['-t', 'ext4', '-O', 'meta_bg,^resize_inode']],
  ['directories in inodes', ['-t', 'ext4', '-O', 'inline_data', '-I', '256']],
]

for (const [name, args] of refused) {
  test(`a volume with ${name} is a fault, not a wrong answer`, { skip }, async () => {
    await assert.rejects(namesIn(extWith(small, args), ['boot']), VolumeFault)
  })
}

const faults: [what: string, change: (image: Buffer) => void][] = [
  ['no magic', (image) => void image.writeUInt16LE(0, 1024 + 56)],
  ['an unknown feature', (image) => void image.writeUInt32LE(0x8000_0000, 1024 + 96)],
  ['impossible blocks', (image) => void image.writeUInt32LE(40, 1024 + 24)],
  ['groups of no inode', (image) => void image.writeUInt32LE(0, 1024 + 40)],
  ['inodes of 64 bytes', (image) => void image.writeUInt16LE(64, 1024 + 88)],
  ['fewer inodes than it names', (image) => void image.writeUInt32LE(1, 1024)],
]

for (const [what, change] of faults) {
  test(`a superblock with ${what} is a fault`, { skip }, async () => {
    const image = extWith(small, ['-t', 'ext4', '-b', '1024'])
    change(image)
    await assert.rejects(namesIn(image, []), VolumeFault)
  })
}
