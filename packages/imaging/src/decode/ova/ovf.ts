import { refuse } from '../refuse.ts'
import { parseXml, type XmlElement } from './xml.ts'

const REMEDY = 'Export a virtual machine with exactly one disk, as streamOptimized VMDK.'

/** The one disk of an OVF descriptor. Sizes in bytes. */
export interface OvfDisk {
  /** Name of the archive's member that holds it. */
  href: string
  /** Size of that member, where the descriptor tells. */
  size: number | null
  capacity: number
  compression: 'none' | 'gzip'
}

/**
 * Finds the disk in an OVF descriptor (DMTF DSP0243, sections 7.1 "File references" and 9.1 "Disk section"; the elements of the 0.9
 * drafts bear the same names). Exactly one disk, in one file of the archive. Throws ImagingError FORMAT.
 */
export function readOvf(bytes: Uint8Array): OvfDisk {
  const envelope = parseXml(bytes)
  if (envelope.name !== 'Envelope') throw refuse("The OVA's descriptor is no OVF envelope.", REMEDY)
  const disks = all(envelope, 'Disk')
  if (disks.length !== 1)
    throw refuse(`The OVF describes ${disks.length} disks, while exactly one disk is wanted.`, REMEDY)
  const [disk] = disks as [XmlElement]
  const fileRef = disk.attributes.get('fileRef')
  const files = all(envelope, 'File').filter((file) => file.attributes.get('id') === fileRef)
  const [file, twin] = files
  if (fileRef === undefined || file === undefined || twin !== undefined) {
    throw refuse("The OVF's disk does not name one file of the archive.", REMEDY)
  }
  if (disk.attributes.has('parentRef'))
    throw refuse("The OVF's disk needs a parent disk, which is not allowed.", REMEDY)
  if (file.attributes.has('chunkSize'))
    throw refuse("The OVF's disk is split into chunks; join them first.", REMEDY)
  return {
    href: plainName(file.attributes.get('href') ?? ''),
    size: sizeOf(file.attributes.get('size')),
    capacity: capacityOf(disk),
    compression: compressionOf(file.attributes.get('compression') ?? ''),
  }
}

function all(element: XmlElement, name: string): XmlElement[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...all(child, name)])
}

/** A member of this archive: no URL and no path is ever followed. */
function plainName(href: string): string {
  if (!/^[^/\\:?#%]{1,255}$/.test(href) || href.startsWith('.')) {
    throw refuse('The OVF names its disk by something else than a plain file name of the archive.', REMEDY)
  }
  return href
}

function compressionOf(text: string): OvfDisk['compression'] {
  if (text === '' || text === 'identity') return 'none'
  if (text === 'gzip') return 'gzip'
  throw refuse("The OVF's disk is compressed in a way that byoi does not know.", REMEDY)
}

function sizeOf(text: string | undefined): number | null {
  if (text === undefined) return null
  if (!/^[0-9]{1,16}$/.test(text)) throw refuse('The OVF gives its disk an impossible size.', REMEDY)
  return Number(text)
}

const UNITS = /^\s*byte\s*(?:\*\s*(2|10)\s*\^\s*([0-9]{1,2})\s*)?$/

/** Capacity in bytes, by the units of DSP0004 Annex C: `byte * 2^30`. A property of the descriptor (`${...}`) is refused. */
function capacityOf(disk: XmlElement): number {
  const capacity = disk.attributes.get('capacity') ?? ''
  const [, base = '2', power = '0'] =
    UNITS.exec(disk.attributes.get('capacityAllocationUnits') ?? 'byte') ?? []
  const known = UNITS.test(disk.attributes.get('capacityAllocationUnits') ?? 'byte')
  const bytes =
    /^[0-9]{1,16}$/.test(capacity) && known ? Number(capacity) * Number(base) ** Number(power) : Number.NaN
  if (!Number.isSafeInteger(bytes) || bytes === 0)
    throw refuse("The OVF's disk has an impossible capacity.", REMEDY)
  return bytes
}
