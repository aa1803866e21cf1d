import type { EfiBoot } from '@byoi/imaging'

/** LOAD_OPTION_ACTIVE: the boot manager tries it. */
const active = 1
/** Device path node types and sub-types (UEFI 2.10, section 10.3). */
const media = 4
const hardDrive = 1
const filePath = 4
const end = Buffer.from([0x7f, 0xff, 4, 0])

/**
 * EFI_LOAD_OPTION (UEFI 2.10, section 3.1.3) that starts a loader from an EFI system partition: attributes, length of the device path,
 * description, device path. The path begins at the partition, which the boot manager finds on whatever the disk hangs on (section
 * 3.1.2, short-form device path).
 */
export function encodeLoadOption(description: string, { esp, loader }: EfiBoot): Buffer {
  const path = Buffer.concat([hardDriveNode(esp), node(media, filePath, ucs2(loader)), end])
  const head = Buffer.alloc(6)
  head.writeUInt32LE(active, 0)
  head.writeUInt16LE(path.length, 4)
  return Buffer.concat([head, ucs2(description), path])
}

/** The description of an EFI_LOAD_OPTION; null where it has no end. */
export function loadOptionDescription(option: Buffer): string | null {
  for (let at = 6; at + 1 < option.length; at += 2)
    if (option.readUInt16LE(at) === 0) return option.toString('utf16le', 6, at)
  return null
}

/** Hard drive media device path (section 10.3.5.1). */
function hardDriveNode({ number, guid, mbrSignature, startLba, sectors }: EfiBoot['esp']): Buffer {
  const data = Buffer.alloc(38)
  data.writeUInt32LE(number, 0)
  data.writeBigUInt64LE(BigInt(startLba), 4)
  data.writeBigUInt64LE(BigInt(sectors), 12)
  if (guid === null) data.writeUInt32LE(mbrSignature ?? 0, 20)
  else guidBytes(guid).copy(data, 20)
  data[36] = guid === null ? 1 : 2 // format: MBR or GPT
  data[37] = guid === null ? 1 : 2 // signature: 32 bits of the MBR or a GUID
  return node(media, hardDrive, data)
}

function node(type: number, subType: number, data: Buffer): Buffer {
  const head = Buffer.from([type, subType, 0, 0])
  head.writeUInt16LE(head.length + data.length, 2)
  return Buffer.concat([head, data])
}

/** Mixed-endian (Appendix A): the first three fields little-endian, the rest as written. */
function guidBytes(guid: string): Buffer {
  const bytes = Buffer.from(guid.replaceAll('-', ''), 'hex')
  bytes.subarray(0, 4).reverse()
  bytes.subarray(4, 6).reverse()
  bytes.subarray(6, 8).reverse()
  return bytes
}

const ucs2 = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le')
