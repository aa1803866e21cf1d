import { blocksOf, readBlock } from './ext-blocks.ts'
import { type ExtVolume, readExtInode } from './ext.ts'
import { VolumeFault } from './volume.ts'

export interface ExtEntry {
  name: string
  inode: number
}

/** A directory of kernels has one block; what lies beyond this is not read. */
const MOST_BYTES = 1024 * 1024
const headerBytes = 8

/** The entries of a directory. Throws VolumeFault where it is none, or broken. */
export async function readExtDirectory(ext: ExtVolume, number: number): Promise<ExtEntry[]> {
  const inode = await readExtInode(ext, number)
  if (!inode.isDirectory) throw new VolumeFault(`has no directory at the inode ${number}`)
  const entries: ExtEntry[] = []
  const blocks = Math.ceil(Math.min(inode.size, MOST_BYTES) / ext.blockSize)
  for await (const block of blocksOf(ext, inode, blocks))
    entries.push(...entriesOf(ext, await readBlock(ext, block)))
  return entries
}

/** A block of linked entries (ext4, "Linear (Classic) Directories"); the index of a hashed directory looks like an empty one. */
function entriesOf({ hasFileTypes, blockSize }: ExtVolume, block: Buffer): ExtEntry[] {
  const entries: ExtEntry[] = []
  for (let at = 0; at + headerBytes <= block.length; ) {
    const inode = block.readUInt32LE(at)
    const length = recordLength(block.readUInt16LE(at + 4), blockSize)
    const nameLength = hasFileTypes ? block.readUInt8(at + 6) : block.readUInt16LE(at + 6)
    const isBroken = length < headerBytes || at + length > block.length
    if (isBroken || nameLength > length - headerBytes) throw new VolumeFault('has a broken directory')
    const name = block.toString('utf8', at + headerBytes, at + headerBytes + nameLength)
    if (inode !== 0) entries.push({ name, inode })
    at += length
  }
  return entries
}

/** In blocks of 64 KiB, a record as long as the block does not fit into its field. */
const recordLength = (field: number, blockSize: number): number =>
  blockSize === 0x1_0000 && (field === 0 || field === 0xffff) ? blockSize : field
