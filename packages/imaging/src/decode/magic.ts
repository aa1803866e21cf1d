import type { ImageType } from '../deploy-image.types.ts'
import { refuse } from './refuse.ts'

export type Format =
  | 'qcow2'
  | 'vmdk'
  | 'vhd'
  | 'vhdx'
  | 'vdi'
  | 'qed'
  | 'parallels'
  | 'bochs'
  | 'cloop'
  | 'dmg'
  | 'luks'
  | 'iso'
  | 'gzip'
  | 'xz'
  | 'zstd'
  | 'bzip2'
  | 'lz4'
  | '7z'
  | 'tar'
  | 'zip'
  | 'html'
  | 'unknown'

/** First bytes of a file that `detectFormat` looks at: up to the end of ISO 9660's "CD001". */
export const DETECT_BYTES = 0x8006

/** In this order: what begins at byte 0 wins over what stands further inside. */
const MAGICS: { format: Format; at: number; magic: string | number[] }[] = [
  { format: 'qcow2', at: 0, magic: [0x51, 0x46, 0x49, 0xfb] },
  { format: 'vmdk', at: 0, magic: 'KDMV' },
  { format: 'vmdk', at: 0, magic: 'COWD' },
  { format: 'vmdk', at: 0, magic: '# Disk DescriptorFile' },
  { format: 'vhd', at: 0, magic: 'conectix' },
  { format: 'vhdx', at: 0, magic: 'vhdxfile' },
  { format: 'vdi', at: 0x40, magic: [0x7f, 0x10, 0xda, 0xbe] },
  { format: 'qed', at: 0, magic: [0x51, 0x45, 0x44, 0x00] },
  { format: 'parallels', at: 0, magic: 'WithoutFreeSpace' },
  { format: 'parallels', at: 0, magic: 'WithouFreSpacExt' },
  { format: 'bochs', at: 0, magic: 'Bochs Virtual HD Image' },
  { format: 'cloop', at: 0, magic: '#!/bin/sh\n#V2.0 Format\n' },
  { format: 'dmg', at: 0, magic: 'koly' },
  { format: 'luks', at: 0, magic: [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe] },
  { format: 'gzip', at: 0, magic: [0x1f, 0x8b, 0x08] },
  { format: 'xz', at: 0, magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { format: 'zstd', at: 0, magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { format: 'bzip2', at: 4, magic: '1AY&SY' }, // of a block; the file begins with "BZh" and the block size
  { format: 'lz4', at: 0, magic: [0x04, 0x22, 0x4d, 0x18] },
  { format: '7z', at: 0, magic: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c] },
  { format: 'zip', at: 0, magic: [0x50, 0x4b, 0x03, 0x04] },
  { format: 'tar', at: 257, magic: 'ustar' },
  { format: 'iso', at: 0x8001, magic: 'CD001' },
]

/**
 * What a file is, by the magic numbers in its first bytes; `DETECT_BYTES` of them suffice, and with fewer only what they
 * show is found. Formats that are marked at their end alone are `unknown`: see `checkEnd`. Never throws.
 */
export function detectFormat(head: Uint8Array): Format {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
  const found = MAGICS.find(({ at, magic }) => {
    const wanted = typeof magic === 'string' ? Buffer.from(magic, 'latin1') : Buffer.from(magic)
    return bytes.subarray(at, at + wanted.length).equals(wanted)
  })
  if (found) return found.format
  const text = bytes.toString('latin1', 0, 512).replace(/^\u00ef\u00bb\u00bf/, '')
  if (/^\s*<(?:!doctype html|html|head|body|\?xml)\b/i.test(text)) return 'html'
  return 'unknown'
}

/**
 * Refuses a file that is not what the caller declared; nothing falls back to raw. What a packed file holds is asked for, not that file,
 * so that what is packed here is packed twice. Throws ImagingError `FORMAT`. `head`: the
 * first `DETECT_BYTES` of the file, or the whole of a shorter one.
 *
 * An ISO 9660 image passes as raw only where it is a real hybrid, which firmware boots from a disk: a boot signature with at
 * least one partition. With a qcow2 magic in its first bytes (its "system area") it is a qcow2 image, so it is refused.
 */
export function checkDeclaredType(type: ImageType, head: Uint8Array): void {
  if (head.length === 0) throw refuse('The served file is empty.', 'Put the image at the URL.')
  const found = detectFormat(head)
  const fits =
    type === 'raw' ? found === 'unknown' || (found === 'iso' && isHybrid(head)) : found === formats[type]
  if (!fits)
    throw refuse(`The image is declared as ${type} but is ${describe(found, type)}.`, remedyFor(found))
}

/** Last bytes of a file that `checkEnd` looks at. */
export const END_BYTES = 512

/**
 * Refuses what is declared as raw but marked at its end as another format: a fixed VHD (magic "conectix", file format version 1.0) and
 * a DMG (magic "koly", version 4, 512 bytes). `end`: the last `END_BYTES` of the file. Throws ImagingError `FORMAT`.
 */
export function checkEnd(end: Uint8Array): void {
  if (end.length < END_BYTES) return
  const bytes = Buffer.from(end.buffer, end.byteOffset, end.byteLength)
  const magic = bytes.toString('latin1', 0, 8)
  const isVhd = magic === 'conectix' && bytes.readUInt32BE(12) === 0x1_0000
  const isDmg = magic.startsWith('koly') && bytes.readUInt32BE(4) === 4 && bytes.readUInt32BE(8) === END_BYTES
  if (!isVhd && !isDmg) return
  const found = isVhd ? 'vhd' : 'dmg'
  throw refuse(`The image is declared as raw but is ${describe(found, 'raw')}.`, remedyFor(found))
}

/** What a file of each type begins as. An OVA is a tar archive. */
const formats = { qcow2: 'qcow2', vmdk: 'vmdk', ova: 'tar' } as const satisfies Record<string, Format>

function isHybrid(head: Uint8Array): boolean {
  const signed = head[510] === 0x55 && head[511] === 0xaa
  const types = [450, 466, 482, 498] // type byte of the four MBR entries
  return signed && types.some((at) => head[at] !== 0)
}

function describe(format: Format, type: ImageType): string {
  if (format === 'unknown') return `not (its first bytes are not those of ${type})`
  if (format === 'html') return 'a web page'
  if (format === 'iso') return 'an ISO 9660 image'
  return `a file in the format ${format}`
}

function remedyFor(format: Format): string {
  if (format === 'qcow2') return 'Declare the type qcow2, or convert the image with qemu-img convert -O raw.'
  if (format === 'html') return 'Check the URL and its access rights: it must answer with the image itself.'
  if (format === 'vmdk')
    return 'Declare the type vmdk where it is streamOptimized, or convert the image to qcow2.'
  if (format === 'tar')
    return 'Declare the type ova where it is one, or unpack the file and serve the image itself.'
  if (['gzip', 'xz', 'zstd', 'bzip2'].includes(format)) return 'Serve the image itself, or packed once only.'
  if (['lz4', '7z', 'zip'].includes(format))
    return 'Unpack the file and serve the image itself, or packed by gzip, xz, zstd or bzip2.'
  if (format === 'unknown') return 'Check the URL, or declare the type raw if it is a raw disk image.'
  if (format === 'iso')
    return 'Serve a disk image with an installed system instead of an installation medium.'
  return 'Convert the image with qemu-img convert -O qcow2 and declare the type qcow2.'
}
