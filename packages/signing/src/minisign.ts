import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { ContentCheck } from './content-check.ts'
import { badSignature, SigningProblem, unknownKey } from './signing-problem.ts'

/** A public key of minisign. https://jedisct1.github.io/minisign/ describes both formats. */
export interface MinisignKey {
  format: 'minisign'
  /** Its only id, as minisign prints it: 16 upper-case hex digits. */
  ids: string[]
  publicKey: KeyObject
}

interface MinisignSignature {
  id: string
  /** Over BLAKE2b-512 of the content; else over the content itself, as minisign did before release 0.10. */
  prehashed: boolean
  signature: Buffer
  trustedComment: string
  /** Over the signature and the trusted comment. */
  globalSignature: Buffer
}

/** DER of an Ed25519 public key (RFC 8410 section 4), but for its 32 bytes. */
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex')

/** `bytes`: algorithm `Ed`, key id of 8 bytes, Ed25519 public key of 32. Null: they are something else. */
export function readMinisignKey(bytes: Buffer): MinisignKey | null {
  if (bytes.length !== 42 || bytes.toString('latin1', 0, 2) !== 'Ed') return null
  const key = Buffer.concat([ED25519_SPKI, bytes.subarray(10)])
  const publicKey = createPublicKey({ key, format: 'der', type: 'spki' })
  return { format: 'minisign', ids: [idOf(bytes)], publicKey }
}

/** `Ed` for the signature, `Sc` for scrypt, or two zeros for a key without a password. */
export const isMinisignSecretKey = (bytes: Buffer): boolean =>
  bytes.length === 158 && bytes.toString('latin1', 0, 2) === 'Ed'

export const looksLikeMinisign = (text: string): boolean => text.startsWith('untrusted comment:')

/**
 * Checks what can be checked before the content: who signed, and the trusted comment. `streamed`: the content is not kept,
 * so that a signature over the content itself is refused.
 * @throws SigningProblem
 */
export function beginMinisign(text: string, keys: MinisignKey[], streamed: boolean): ContentCheck {
  const parsed = parse(text)
  const key = keys.find(({ ids }) => ids.includes(parsed.id))
  if (!key) {
    throw unknownKey(
      'minisign',
      [parsed.id],
      keys.flatMap(({ ids }) => ids),
    )
  }
  const by = `minisign key ${parsed.id}`
  const commented = Buffer.concat([parsed.signature, Buffer.from(parsed.trustedComment)])
  if (!verify(null, commented, key.publicKey, parsed.globalSignature)) throw forgedComment(by)
  if (!parsed.prehashed && streamed) throw notPrehashed()
  const hash = createHash('blake2b512')
  const kept: Buffer[] = []
  return {
    update: (bytes) => void (parsed.prehashed ? hash.update(bytes) : kept.push(Buffer.from(bytes))),
    finish: () => {
      const signed = parsed.prehashed ? hash.digest() : Buffer.concat(kept)
      if (!verify(null, signed, key.publicKey, parsed.signature)) return Promise.reject(badSignature(by))
      return Promise.resolve(by)
    },
  }
}

function parse(text: string): MinisignSignature {
  const [untrusted = '', signature = '', comment = '', global = '', ...more] = text.split(/\r?\n/)
  const bytes = base64(signature)
  const globalSignature = base64(global)
  const algorithm = bytes?.toString('latin1', 0, 2)
  if (
    !looksLikeMinisign(untrusted) ||
    bytes?.length !== 74 ||
    (algorithm !== 'Ed' && algorithm !== 'ED') ||
    !comment.startsWith('trusted comment: ') ||
    globalSignature?.length !== 64 ||
    more.some((line) => line !== '')
  )
    throw malformed()
  return {
    id: idOf(bytes),
    prehashed: algorithm === 'ED',
    signature: bytes.subarray(10),
    trustedComment: comment.slice('trusted comment: '.length),
    globalSignature,
  }
}

/** Null where the text is anything but base64. */
export function base64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

const idOf = (bytes: Buffer): string => bytes.readBigUInt64LE(2).toString(16).toUpperCase().padStart(16, '0')

const malformed = () =>
  new SigningProblem(
    'The signature begins like one of minisign and is not one: a comment, a signature, a trusted comment or its signature is missing or damaged.',
    'Give the .minisig file as minisign wrote it.',
  )

const forgedComment = (by: string) =>
  new SigningProblem(
    `The trusted comment of the signature is not the one that the ${by} signed.`,
    'Give the .minisig file as minisign wrote it.',
  )

const notPrehashed = () =>
  new SigningProblem(
    'The signature is one of minisign over the whole file instead of over its hash, for which all of the image would have to be in memory.',
    'Sign the image again with minisign 0.10 or newer, or with -H, or sign a checksum file instead of the image.',
  )
