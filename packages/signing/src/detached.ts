import type { ContentCheck } from './content-check.ts'
import { beginMinisign, looksLikeMinisign, type MinisignKey } from './minisign.ts'
import { beginOpenPgp, verifyOpenPgp } from './openpgp.ts'
import type { OpenPgpKey } from './openpgp-key.ts'
import type { SigningKey } from './signing-key.ts'
import { SigningProblem } from './signing-problem.ts'

export type { ContentCheck }

/** What a signature file may have, in bytes. */
export const LONGEST_SIGNATURE = 64 * 1024

/**
 * Begins to check a detached signature over content of any length, which streams past. What can be checked without the
 * content is checked here: its form, that it is by one of `keys`, and whether that key and the hash may be used.
 * @throws SigningProblem
 */
export function beginDetached(signature: Uint8Array, keys: SigningKey[]): Promise<ContentCheck> {
  const form = formOf(signature)
  if (typeof form !== 'string') return beginOpenPgp(form.openpgp, openPgpKeys(keys))
  return Promise.resolve().then(() => beginMinisign(form, minisignKeys(keys), true))
}

/**
 * Checks a detached signature over content that is at hand. Gives who signed.
 * @throws SigningProblem
 */
export async function verifyDetached(
  signature: Uint8Array,
  keys: SigningKey[],
  content: Uint8Array,
): Promise<string> {
  const form = formOf(signature)
  if (typeof form !== 'string') return verifyOpenPgp(form.openpgp, openPgpKeys(keys), content)
  const check = beginMinisign(form, minisignKeys(keys), false)
  check.update(content)
  return check.finish()
}

const minisignKeys = (keys: SigningKey[]): MinisignKey[] => keys.filter((key) => key.format === 'minisign')
const openPgpKeys = (keys: SigningKey[]): OpenPgpKey[] => keys.filter((key) => key.format === 'openpgp')

/** Minisign's text, or OpenPGP's: armored text or packets. */
function formOf(bytes: Uint8Array): string | { openpgp: string | Uint8Array } {
  if (bytes.length > LONGEST_SIGNATURE) throw noSignature(`longer than ${LONGEST_SIGNATURE} bytes`)
  const text = Buffer.from(bytes).toString()
  if (looksLikeMinisign(text)) return text
  if (text.startsWith('-----BEGIN PGP SIGNATURE-----')) return { openpgp: text }
  if (text.startsWith('-----BEGIN PGP SIGNED MESSAGE-----'))
    throw noSignature('a signed text instead of a signature beside one')
  // A packet begins with the highest bit set (RFC 9580 section 4.2).
  if ((bytes[0] ?? 0) & 0x80) return { openpgp: bytes }
  throw noSignature('neither minisign nor OpenPGP')
}

const noSignature = (what: string) =>
  new SigningProblem(
    `What was given as the signature is ${what}.`,
    "Give a .minisig file, or what 'gpg --detach-sign' writes.",
  )
