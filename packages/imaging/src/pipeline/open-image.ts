import type { ImageRequest } from '../deploy-image.types.ts'
import { checkDeclaredType, checkEnd, DETECT_BYTES, END_BYTES } from '../decode/magic.ts'
import { headerBytes, type Qcow2Header, readQcow2Header } from '../decode/qcow2-header.ts'
import { type Qcow2Map, readHeaderAt, readQcow2Map } from '../decode/qcow2-map.ts'
import { PlannedQcow2Decoder } from '../decode/qcow2-planned.ts'
import { UnplannedQcow2Decoder } from '../decode/qcow2-unplanned.ts'
import { openQcow2View } from '../decode/qcow2-view.ts'
import { openRawView, RawDecoder } from '../decode/raw-stream.ts'
import type { ImageSource } from '../source/source.ts'
import { openOva, openVmdk } from './open-vmdk.ts'
import { type OpenedImage, type StoredData, unseen } from './opened-image.ts'

/** RAM for the map of an image whose tables can be read beforehand. A straight conversion of 2 TiB takes far less. */
const MAP_BYTES = 32 * 1024 * 1024

/**
 * Looks at what the source serves. `head`: the first bytes, for a source that cannot be read at will; else null.
 * @throws ImagingError FORMAT where it is not what `type` declares, or is not sound.
 */
export async function openImage(
  source: ImageSource,
  type: ImageRequest['type'],
  spoolBytes: number,
  head: Buffer | null,
): Promise<OpenedImage> {
  const start = head ?? (await readStart(source, DETECT_BYTES))
  checkDeclaredType(type, start.subarray(0, DETECT_BYTES))
  if (type === 'raw') return await openRaw(source, head)
  if (type === 'qcow2') return await openQcow2(source, spoolBytes, head)
  return type === 'vmdk' ? await openVmdk(source, head) : await openOva(source, head)
}

async function openRaw(source: ImageSource, head: Buffer | null): Promise<OpenedImage> {
  const { size } = source
  if (!head && size !== undefined && size >= END_BYTES) {
    const end = Buffer.alloc(END_BYTES)
    await source.readAt(size - END_BYTES, end)
    checkEnd(end)
  }
  return {
    virtualSize: size === undefined ? undefined : new RawDecoder({ size }).virtualSize,
    clusterSize: 0,
    header: null,
    stored: null,
    placesData: true,
    view: head ? viewOf(head) : openRawView(source),
    newDecoder: (diskSize) => new RawDecoder({ size, diskSize }),
  }
}

async function openQcow2(source: ImageSource, spoolBytes: number, head: Buffer | null): Promise<OpenedImage> {
  const fileSize = source.size
  const map = head ? null : await readQcow2Map(source, { budgetBytes: MAP_BYTES })
  const { header, bytes: start } = map ? { ...map, bytes: Buffer.alloc(0) } : await readHeader(source, head)
  return {
    virtualSize: header.virtualSize,
    clusterSize: header.clusterSize,
    header,
    stored: map && storedIn(map),
    placesData: map !== null,
    view: map ? openQcow2View(source, map) : { read: unseen },
    newDecoder: (diskSize, ring, store) => {
      if (map) return new PlannedQcow2Decoder(map)
      const read = (offset: number, length: number) => ring.read(offset, length)
      return new UnplannedQcow2Decoder(start, { fileSize, diskSize, spoolBytes, store, read })
    },
  }
}

function storedIn({ header, mappings }: Qcow2Map): StoredData {
  let copied = 0
  let compressed = 0
  for (const mapping of mappings) {
    copied += mapping?.runs.copied ?? 0
    compressed += mapping?.runs.compressed ?? 0
  }
  return { bytes: copied + compressed * header.clusterSize, isCompressed: compressed > 0 }
}

/** The map is too large for its budget, or cannot be read beforehand: the header at least tells the size. */
async function readHeader(
  source: ImageSource,
  head: Buffer | null,
): Promise<{ header: Qcow2Header; bytes: Uint8Array }> {
  if (!head) return readHeaderAt(source)
  const bytes = head.subarray(0, headerBytes(head))
  return { header: readQcow2Header(bytes, { fileSize: source.size }), bytes: Buffer.from(bytes) }
}

async function readStart(source: ImageSource, length: number): Promise<Buffer> {
  const start = Buffer.alloc(Math.min(length, source.size ?? length))
  await source.readAt(0, start)
  return start
}

/** What the head of a raw image shows. */
function viewOf(head: Buffer): OpenedImage['view'] {
  const read = async (offset: number, length: number) =>
    offset + length <= head.length ? head.subarray(offset, offset + length) : unseen()
  return { read }
}
