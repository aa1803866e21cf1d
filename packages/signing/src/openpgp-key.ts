import type { Key } from 'openpgp'

/** Public keys of one ring. */
export interface OpenPgpKey {
  format: 'openpgp'
  /** Of primary keys and subkeys: 16 upper-case hex digits each. */
  ids: string[]
  keys: Key[]
}

/** `rings`: armored text or binary. At least one key, else it is unreadable. */
export async function readOpenPgpKeys(
  rings: (string | Uint8Array)[],
): Promise<OpenPgpKey | 'secret' | 'unreadable'> {
  const { readKeys } = await import('openpgp')
  const keys: Key[] = []
  try {
    for (const ring of rings)
      keys.push(
        ...(await (typeof ring === 'string'
          ? readKeys({ armoredKeys: ring })
          : readKeys({ binaryKeys: ring }))),
      )
  } catch {
    return 'unreadable' // the library's words could quote the text
  }
  if (keys.some((key) => key.isPrivate())) return 'secret'
  const ids = keys.flatMap((key) => key.getKeyIDs()).map((id) => id.toHex().toUpperCase())
  return keys.length === 0 ? 'unreadable' : { format: 'openpgp', ids, keys }
}
