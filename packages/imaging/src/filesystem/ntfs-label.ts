import type { Volume } from './volume.ts'

/** Number of the record of `$Volume` in the master file table, and the type of its attribute `$VOLUME_NAME`. */
const VOLUME_RECORD = 3
const VOLUME_NAME = 0x60
const END = 0xffff_ffff
const MOST_RECORD_BYTES = 65536

/**
 * The label of an NTFS volume, from the record of `$Volume` (Linux, fs/ntfs3/ntfs.h: NTFS_BOOT, MFT_REC, ATTRIB); null where there is
 * none.
 */
export async function ntfsLabel(volume: Volume): Promise<string | null> {
  const boot = await volume.read(0, 512)
  const cluster = boot.readUInt16LE(11) * sectorsOf(boot.readUInt8(13))
  const perRecord = boot.readInt8(64)
  const recordBytes = perRecord > 0 ? perRecord * cluster : 2 ** -perRecord
  if (recordBytes < 512 || recordBytes > MOST_RECORD_BYTES) return null
  const at = Number(boot.readBigUInt64LE(48)) * cluster + VOLUME_RECORD * recordBytes
  return nameIn(await volume.read(at, recordBytes))
}

/** From 0x80 on, the field is a negative power of two. */
const sectorsOf = (field: number): number => (field < 0x80 ? field : 2 ** (256 - field))

function nameIn(record: Buffer): string | null {
  if (record.toString('latin1', 0, 4) !== 'FILE') return null
  for (let at = record.readUInt16LE(20); at + 24 <= record.length; ) {
    const type = record.readUInt32LE(at)
    const length = record.readUInt32LE(at + 4)
    if (type === END || length < 24) return null
    if (type === VOLUME_NAME) {
      const start = at + record.readUInt16LE(at + 20)
      return record.toString('utf16le', start, start + record.readUInt32LE(at + 16)) || null
    }
    at += length
  }
  return null
}
