import { base64, isMinisignSecretKey, type MinisignKey, readMinisignKey } from './minisign.ts'
import { type OpenPgpKey, readOpenPgpKeys } from './openpgp-key.ts'
import { SigningProblem } from './signing-problem.ts'

/** What may be given as one key, in characters. */
export const LONGEST_KEY = 128 * 1024

/** A public key, or with OpenPGP a ring of several. `ids`: of the key and its subkeys, in upper-case hex. */
export type SigningKey = MinisignKey | OpenPgpKey

/**
 * Reads a public key: minisign's (the base64 line, with or without its comment), or OpenPGP's, armored or as base64 of the
 * binary form.
 * @throws SigningProblem, which never shows the text.
 */
export async function readSigningKey(text: string): Promise<SigningKey> {
  if (text.length > LONGEST_KEY) throw unreadable(`longer than ${LONGEST_KEY} characters`)
  if (/PRIVATE KEY|untrusted comment:.*secret key/i.test(text)) throw secretKey()
  if (text.includes('-----BEGIN PGP')) {
    const blocks = text.match(/-----BEGIN PGP PUBLIC KEY BLOCK-----[^]*?-----END PGP PUBLIC KEY BLOCK-----/g)
    return checked(await readOpenPgpKeys(blocks ?? []))
  }
  const bytes = base64(text.replace(/^untrusted comment:[^\n]*\n/, '').replaceAll(/\s/g, ''))
  if (bytes === null || bytes.length === 0) throw unreadable('neither minisign nor OpenPGP')
  if (isMinisignSecretKey(bytes)) throw secretKey()
  return readMinisignKey(bytes) ?? checked(await readOpenPgpKeys([bytes]))
}

function checked(key: OpenPgpKey | 'secret' | 'unreadable'): OpenPgpKey {
  if (key === 'secret') throw secretKey()
  if (key === 'unreadable') throw unreadable('neither minisign nor OpenPGP')
  return key
}

const unreadable = (what: string) =>
  new SigningProblem(
    `The key is no public key that can be read: it is ${what}.`,
    "Give the public key as minisign printed it, or as 'gpg --export --armor' writes it.",
  )

const secretKey = () =>
  new SigningProblem(
    'The key is a private one.',
    'Give the public key, and consider the private one as known to others from now on.',
  )
