import type { Volume } from './volume.ts'

const SUPERBLOCK_AT = 1024
/** Compatible: a journal. */
const hasJournal = 0x4
/** Incompatible: file types, a journal to replay, meta block groups. Read-only compatible: sparse superblocks, large files, B-trees. */
const incompatibleOfExt3 = 0x2 | 0x4 | 0x10
const readOnlyOfExt3 = 0x1 | 0x2 | 0x4

/** Which of the three an ext volume is, by its features: ext4 has one that ext3 has not, ext3 has a journal. */
export async function extTypeOf(volume: Volume): Promise<'ext2' | 'ext3' | 'ext4'> {
  const features = await volume.read(SUPERBLOCK_AT + 92, 12)
  const [compatible, incompatible, readOnly] = [0, 4, 8].map((at) => features.readUInt32LE(at)) as [
    number,
    number,
    number,
  ]
  const isExt4 = (incompatible & ~incompatibleOfExt3) !== 0 || (readOnly & ~readOnlyOfExt3) !== 0
  if (isExt4) return 'ext4'
  return (compatible & hasJournal) !== 0 ? 'ext3' : 'ext2'
}
