import { type FileHandle, open } from 'node:fs/promises'
import { bootCodeOf } from '../boot/boot-code.ts'
import { EFI_SYSTEM_GPT, EFI_SYSTEM_MBR } from '../boot/efi-partitions.ts'
import { decodeGptEntries, decodeGptHeader, type GptEntry } from '../table/gpt.ts'
import { hasBootSignature, MBR_SIZE } from '../table/mbr.ts'
import { believedEntries } from '../table/read-table.ts'

/** What a disk that is not the target could make firmware boot from it instead. */
export interface BootTraces {
  /** A BIOS would start the code of its first sector. */
  mbrCode: boolean
  table: 'gpt' | 'mbr' | 'none'
  /** It has an EFI system partition. */
  esp: boolean
  /** Why it could not be read, one sentence; then nothing else is known. */
  error: string | null
}

/** Entries that are looked at: of 128 bytes, twice as many as tables commonly have. */
const MOST_ARRAY_BYTES = 32 * 1024

/** Looks at the first sectors of a disk or file, read only. Never rejects. */
export async function bootTraces(path: string): Promise<BootTraces> {
  let file: FileHandle | null = null
  try {
    file = await open(path, 'r')
    return { ...(await tracesOn(file)), error: null }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return {
      mbrCode: false,
      table: 'none',
      esp: false,
      error: `The disk ${path} cannot be read: ${code ?? message}.`,
    }
  } finally {
    await file?.close().catch(() => undefined)
  }
}

async function tracesOn(file: FileHandle): Promise<Omit<BootTraces, 'error'>> {
  const sector = await readAt(file, 0, MBR_SIZE)
  const entries = believedEntries(sector, Number.MAX_SAFE_INTEGER)
  const mbrCode = hasBootSignature(sector) && bootCodeOf(sector) !== null
  const hasEspInMbr = entries.some(({ type }) => type === EFI_SYSTEM_MBR)
  const gpt = (await gptEntries(file, 512)) ?? (await gptEntries(file, 4096))
  if (gpt)
    return { mbrCode, table: 'gpt', esp: hasEspInMbr || gpt.some(({ type }) => type === EFI_SYSTEM_GPT) }
  return { mbrCode, table: entries.length > 0 ? 'mbr' : 'none', esp: hasEspInMbr }
}

/** The entries of a GPT for sectors of this size; null where there is no sound header. */
async function gptEntries(file: FileHandle, sectorSize: number): Promise<GptEntry[] | null> {
  const header = decodeGptHeader(await readAt(file, sectorSize, sectorSize), 1)
  if ('fault' in header) return null
  const at = header.entriesLba * sectorSize
  if (!Number.isSafeInteger(at)) return []
  const bytes = Math.min(header.entryCount * header.entrySize, MOST_ARRAY_BYTES)
  return decodeGptEntries(await readAt(file, at, bytes), header.entrySize)
}

/** Bytes at `offset`; zero past the end. */
async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  await file.read(bytes, 0, length, offset)
  return bytes
}
