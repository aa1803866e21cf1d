import { refuse } from '../refuse.ts'

const ALGORITHMS: Record<string, { name: 'sha1' | 'sha256' | 'sha512'; digits: number }> = {
  SHA1: { name: 'sha1', digits: 40 },
  SHA256: { name: 'sha256', digits: 64 },
  SHA512: { name: 'sha512', digits: 128 },
}
export type ManifestAlgorithm = 'sha1' | 'sha256' | 'sha512'
export interface ManifestEntry {
  algorithm: ManifestAlgorithm
  /** Lower-case hex. */
  digest: string
}

const LINE = /^([A-Z0-9]{1,8})\s*\(([^)\0]{1,255})\)\s*=\s*([0-9a-fA-F]{1,128})$/

/**
 * Reads a manifest (DMTF DSP0243 section 6.1): a digest for each file of the package, by name. A line that is none is refused, as
 * is a digest that nobody should trust. Throws ImagingError FORMAT.
 */
export function readManifest(bytes: Uint8Array): Map<string, ManifestEntry> {
  const entries = new Map<string, ManifestEntry>()
  for (const line of Buffer.from(bytes).toString('utf8').split(/\r?\n/)) {
    if (line.trim() === '') continue
    const [, word = '', name = '', digest = ''] = LINE.exec(line.trim()) ?? []
    const algorithm = Object.hasOwn(ALGORITHMS, word) ? ALGORITHMS[word] : undefined
    if (algorithm === undefined || digest.length !== algorithm.digits || entries.has(name)) {
      throw refuse(
        "The OVA's manifest holds a line that is no SHA1, SHA256 or SHA512 digest of a file.",
        'Make the manifest anew, or leave it out and give the checksum of the whole OVA.',
      )
    }
    entries.set(name, { algorithm: algorithm.name, digest: digest.toLowerCase() })
  }
  return entries
}
