import { open } from 'node:fs/promises'

/** No attribute that we read is longer; hostile firmware may say otherwise. In bytes. */
const longestAttribute = 4096
/** What is kept of a text that hardware says of itself, in characters. An NVMe WWN made of serial number and model takes 140. */
const longestText = 256

/** The bytes of an attribute of sysfs or efivarfs, at most 4 KiB of them; null where it is absent or cannot be read. */
export async function readBytes(path: string): Promise<Buffer | null> {
  const file = await open(path).catch(() => null)
  if (file === null) return null
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(longestAttribute))
    return buffer.subarray(0, bytesRead)
  } catch {
    // Such as the carrier of a port that is down.
    return null
  } finally {
    await file.close()
  }
}

/** The text of an attribute, made plain; null where it says nothing. */
export async function readText(path: string): Promise<string | null> {
  const bytes = await readBytes(path)
  const text = plainText(bytes?.toString('latin1') ?? '')
  return text === '' ? null : text
}

/** The number of an attribute, in decimal; null where it is none. */
export async function readNumber(path: string): Promise<number | null> {
  const text = await readText(path)
  return text === null || !/^-?\d{1,15}$/.test(text) ? null : Number(text)
}

/** Printable ASCII, runs of blanks as one, cut: what hardware says of itself goes to consoles, logs and pages. */
export const plainText = (text: string): string =>
  text
    .replaceAll(/[^\x20-\x7e]/g, ' ')
    .replaceAll(/ +/g, ' ')
    .trim()
    .slice(0, longestText)
    .trim()
