import { createHash } from 'node:crypto'
import { refuse } from '../refuse.ts'
import { bytesAt, past, type Want } from '../stream-parser.ts'
import { type ManifestEntry, readManifest } from './manifest.ts'
import { type OvfDisk, readOvf } from './ovf.ts'
import { readLongName, readPax, readTarHeader, TAR_BLOCK } from './tar-header.ts'

const MAX_OVF_BYTES = 1024 * 1024
const MAX_MANIFEST_BYTES = 64 * 1024
/** Their names are kept, to find one that comes twice. An OVA has its disk, descriptor, manifest, certificate, and a few more. */
const MAX_MEMBERS = 1000
const REMEDY = 'Pack the OVA anew: first the .ovf, then the .mf, then the disk that they name.'

/** A part of a format's story that gives a result. */
type Telling<T> = Generator<Want, T, Uint8Array>

/** A member of the archive, by its place in the file. Bytes. */
export interface Member {
  name: string
  start: number
  size: number
  /** Where the next header stands. */
  next: number
}

export interface FoundDisk {
  member: Member
  ovf: OvfDisk
  /** null: none has come yet; it may follow. */
  manifest: Map<string, ManifestEntry> | null
  /** Names of the members so far: none may come twice. */
  names: Set<string>
  /** The descriptor's digests, for a manifest that follows. */
  descriptor: { name: string; bytes: Uint8Array }
}

/**
 * Reads an OVA up to its disk: the descriptor first, then whatever stands before the member that it names. What is wrong with
 * descriptor and manifest is found here, before the disk. Throws ImagingError FORMAT.
 */
export function* findDisk(): Telling<FoundDisk> {
  const names = new Set<string>()
  const first = yield* nextMember(0, names)
  if (first === null || !isDescriptor(first.name)) {
    throw refuse('The OVA does not begin with its OVF descriptor.', REMEDY)
  }
  if (first.size > MAX_OVF_BYTES)
    throw refuse(`The OVA's descriptor has ${first.size} bytes, more than 1 MiB.`, REMEDY)
  const descriptor = { name: first.name, bytes: yield bytesAt(first.start, first.size) }
  const ovf = readOvf(descriptor.bytes)
  if (ovf.compression !== 'none') {
    throw refuse(
      'The disk inside the OVA is compressed with gzip.',
      'Pack the OVA anew with the disk as it is.',
    )
  }
  let manifest: FoundDisk['manifest'] = null
  for (let at = first.next; ; ) {
    yield past(at)
    const member = yield* nextMember(at, names)
    if (member === null) throw refuse('The OVA does not hold the disk that its descriptor names.', REMEDY)
    if (member.name === ovf.href) {
      checkSize(member, ovf)
      return { member, ovf, manifest, names, descriptor }
    }
    if (isManifest(member)) manifest = checkManifest(yield* readManifestOf(member, manifest), descriptor, ovf)
    at = member.next
  }
}

/**
 * The next file of the archive; null at its end. Pax and GNU headers before it are taken into account. Throws ImagingError FORMAT, also
 * for a second descriptor: it might tell of another disk.
 */
export function* nextMember(at: number, names: Set<string>): Telling<Member | null> {
  let extended: ReturnType<typeof readPax> = {}
  for (;;) {
    const header = readTarHeader(yield bytesAt(at, TAR_BLOCK))
    if (header === null) return null
    const start = at + TAR_BLOCK
    if (header.kind !== 'file') {
      const read = header.kind === 'pax' ? readPax : readLongName
      extended = { ...extended, ...read(yield bytesAt(start, header.size)) }
      at = start + inBlocks(header.size)
      yield past(at)
      continue
    }
    const { name, size } = { ...header, ...extended }
    if (names.has(name)) throw refuse('The OVA holds two members of one name.', REMEDY)
    if (names.size > 0 && isDescriptor(name)) throw refuse('The OVA holds two descriptors.', REMEDY)
    if (names.size === MAX_MEMBERS) throw refuse(`The OVA holds more than ${MAX_MEMBERS} members.`, REMEDY)
    names.add(name)
    const next = start + inBlocks(size)
    if (!Number.isSafeInteger(next)) throw refuse('The OVA has a member of an impossible size.', REMEDY)
    return { name, start, size, next }
  }
}

const isDescriptor = (name: string): boolean => name.toLowerCase().endsWith('.ovf')

export const isManifest = ({ name }: Member): boolean => name.toLowerCase().endsWith('.mf')

export function* readManifestOf(
  member: Member,
  before: FoundDisk['manifest'],
): Telling<Map<string, ManifestEntry>> {
  if (before !== null) throw refuse('The OVA holds two manifests.', REMEDY)
  if (member.size > MAX_MANIFEST_BYTES) throw refuse(`The OVA's manifest has ${member.size} bytes.`, REMEDY)
  return readManifest(yield bytesAt(member.start, member.size))
}

/** A manifest must speak of the disk, and tell the truth about the descriptor. */
export function checkManifest(
  manifest: Map<string, ManifestEntry>,
  descriptor: FoundDisk['descriptor'],
  ovf: OvfDisk,
): Map<string, ManifestEntry> {
  if (!manifest.has(ovf.href)) throw refuse("The OVA's manifest does not name its disk.", REMEDY)
  const entry = manifest.get(descriptor.name)
  if (entry === undefined) throw refuse("The OVA's manifest does not name its descriptor.", REMEDY)
  if (entry.digest !== createHash(entry.algorithm).update(descriptor.bytes).digest('hex'))
    throw refuse("The OVA's descriptor is not the one that its manifest was made for.", REMEDY)
  return manifest
}

function checkSize(member: Member, ovf: OvfDisk): void {
  if (ovf.size !== null && ovf.size !== member.size) {
    throw refuse(`The OVA's disk has ${member.size} bytes, while its descriptor says ${ovf.size}.`, REMEDY)
  }
}

const inBlocks = (size: number): number => Math.ceil(size / TAR_BLOCK) * TAR_BLOCK
