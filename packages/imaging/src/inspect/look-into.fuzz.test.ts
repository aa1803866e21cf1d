import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PieceReader } from '../filesystem/piece-reader.ts'
import { extWith, fatWith, inScratch, type Tree } from '../filesystem/testing/volumes.ts'
import { Random } from '../fuzz/random.ts'
import { lacking, runTool } from '../table/testing/run-tool.ts'
import { lookInto } from './look-into.ts'

const MiB = 1024 * 1024
const ROUNDS = 500
/** Far more than a look takes, which is some ms, and far less than an endless one. */
const MOST_MS = 5000

const files: Tree = {
  'etc/cloud/cloud.cfg.d/90.cfg': Buffer.from('datasource_list: [ConfigDrive]\n'),
  'usr/bin/cloud-init': Buffer.from('#!'),
  'boot/grub/grub.cfg': Buffer.from('linux /vmlinuz console=ttyS0\n'),
  'loader/entries/a.conf': Buffer.from('options console=ttyS0\n'),
}

const rows: [name: string, tools: string[], make: () => Buffer][] = [
  ['ext4', ['mke2fs'], () => extWith(files, ['-t', 'ext4', '-b', '1024', '-O', '^has_journal'], MiB)],
  ['FAT12', ['mkfs.vfat', 'mcopy'], () => fatWith(files)],
  [
    'NTFS',
    ['mkfs.ntfs'],
    () => inScratch(2 * MiB, (image) => runTool('mkfs.ntfs', ['-q', '-F', '-Q', '-L', 'a', image])),
  ],
  ['swap', ['mkswap'], () => inScratch(MiB, (image) => runTool('mkswap', ['-L', 'a', image]))],
]

for (const [name, tools, make] of rows) {
  test(`a mangled ${name} is looked into in bounded time, without an exception`, {
    skip: lacking(...tools),
  }, async () => {
    const random = new Random(1)
    const sound = make()
    const places = [...sound.keys()].filter((at) => sound[at] !== 0)
    const outcomes = new Set<string>()
    for (let round = 0; round < ROUNDS; round++) {
      const image = Buffer.from(sound)
      for (let edits = random.between(1, 6); edits > 0; edits--) {
        const at = random.chance(0.5) ? random.below(2048) : random.pick(places)
        image[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])
      }
      const began = performance.now()
      const read = async (offset: number, length: number) => image.subarray(offset, offset + length)
      const pieces = new PieceReader({ imageSize: image.length, sectorSize: 512, read })
      const looked = await lookInto(pieces, { kind: 'none', partitions: [] }, image.length).catch(
        (error: Error) => assert.fail(`round ${round}: ${error.stack}`),
      )
      assert.ok(performance.now() - began < MOST_MS, `round ${round} took too long`)
      outcomes.add(JSON.stringify(looked))
    }
    assert.ok(outcomes.size > 5, 'the damage did nothing')
  })
}
