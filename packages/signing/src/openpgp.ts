import { createHash } from 'node:crypto'
import type { Key, KeyID, SignaturePacket, verify as verifyByLibrary } from 'openpgp'
import type { ContentCheck } from './content-check.ts'
import type { OpenPgpKey } from './openpgp-key.ts'
import { badSignature, SigningProblem, unknownKey } from './signing-problem.ts'

/** What a clear-signed file may have, in bytes: the library takes a second for the worst of that length. */
const LONGEST_CLEAR_TEXT = 128 * 1024
/** How many signatures one file may hold. */
const MOST_SIGNATURES = 32

/** Hash algorithms of RFC 9580 section 9.5 that still hold, by their numbers, as Node calls them. */
const HASHES: Record<number, string> = {
  8: 'sha256',
  9: 'sha384',
  10: 'sha512',
  11: 'sha224',
  12: 'sha3-256',
  14: 'sha3-512',
}
const WEAK_HASHES: Record<number, string> = { 1: 'MD5', 2: 'SHA-1', 3: 'RIPEMD-160' }

/** One signature of a file, by a key that was given. */
interface Candidate {
  /** Among the signatures of the file. */
  index: number
  packet: Packet
  key: Key
  by: string
}

/**
 * The library takes a digest that is there already instead of hashing the message: that is how it checks signatures that stand
 * in front of their message. `salt`: of version 6 only. Neither is in its types.
 */
type Packet = SignaturePacket & { hashed?: Uint8Array; salt?: Uint8Array }

/** Has the library check all signatures of a file by these keys. */
type Verify = (keys: Key[]) => Promise<Pick<Awaited<ReturnType<typeof verifyByLibrary>>, 'signatures'>>

/**
 * Begins to check a detached signature. The content is hashed by Node as it comes, in constant memory; the digest, the key and
 * all the rest are judged by the library.
 * @throws SigningProblem
 */
export async function beginOpenPgp(
  signature: string | Uint8Array,
  keys: OpenPgpKey[],
): Promise<ContentCheck> {
  const verify = await verifierOf(signature, new Uint8Array())
  const hashing = await those(await candidates(verify, keys), (candidate) => ({
    candidate,
    digest: beginDigest(candidate.packet),
  }))
  return {
    update: (bytes) => {
      for (const { digest } of hashing) digest.update(bytes)
    },
    finish: () => {
      for (const { candidate, digest } of hashing) candidate.packet.hashed = digest.end()
      return anyOf(
        verify,
        hashing.map(({ candidate }) => candidate),
      )
    },
  }
}

/**
 * Checks a detached signature over content at hand. Gives who signed.
 * @throws SigningProblem
 */
export async function verifyOpenPgp(
  signature: string | Uint8Array,
  keys: OpenPgpKey[],
  content: Uint8Array,
): Promise<string> {
  const verify = await verifierOf(signature, content)
  return anyOf(verify, await candidates(verify, keys))
}

/**
 * Checks a clear-signed text (RFC 9580 section 7). Gives what was signed, which need not be all that the file holds, and by
 * whom.
 * @throws SigningProblem
 */
export async function verifyClearText(
  text: string,
  keys: OpenPgpKey[],
): Promise<{ text: string; by: string }> {
  if (Buffer.byteLength(text) > LONGEST_CLEAR_TEXT) throw tooLong()
  const library = await import('openpgp')
  const message = await library.readCleartextMessage({ cleartextMessage: text }).catch(() => {
    throw unreadable()
  })
  const verify: Verify = (verificationKeys) => library.verify({ message, verificationKeys, config })
  const by = await anyOf(verify, await candidates(verify, keys))
  return { text: message.getText(), by }
}

async function verifierOf(signature: string | Uint8Array, content: Uint8Array): Promise<Verify> {
  const library = await import('openpgp')
  const read = await (typeof signature === 'string'
    ? library.readSignature({ armoredSignature: signature })
    : library.readSignature({ binarySignature: signature })
  ).catch(() => {
    throw unreadable()
  })
  const message = await library.createMessage({ binary: content })
  return (verificationKeys) =>
    library.verify({ message, signature: read, verificationKeys, format: 'binary', config })
}

/** A key that its owner prolonged after he signed is as good as it was; `assertUsable` asks whether it holds today. */
const config = { allowInsecureVerificationWithReformattedKeys: true }

/** The signatures by keys that were given and may be used, at least one. */
async function candidates(verify: Verify, rings: OpenPgpKey[]): Promise<Candidate[]> {
  const { signatures } = await verify([])
  if (signatures.length === 0 || signatures.length > MOST_SIGNATURES) throw unreadable()
  const keys = rings.flatMap((ring) => ring.keys)
  const found: Candidate[] = []
  for (const [index, { keyID, signature }] of signatures.entries()) {
    const key = keys.find((each) => each.getKeys(keyID).length > 0)
    const packet = (await signature).packets[0]
    if (key && packet) found.push({ index, packet, key, by: `OpenPGP key ${hex(keyID)}` })
  }
  if (found.length > 0) {
    return those(found, async (candidate) => {
      await assertUsable(candidate)
      return candidate
    })
  }
  const signedBy = [...new Set(signatures.map(({ keyID }) => hex(keyID)))]
  throw unknownKey(
    'OpenPGP',
    signedBy,
    keys.map((key) => hex(key.getKeyID())),
  )
}

/** What `take` gives for those that it does not throw for; where it throws for all, what it threw first. */
async function those<T, U>(all: T[], take: (each: T) => U | Promise<U>): Promise<U[]> {
  const taken: U[] = []
  const problems: unknown[] = []
  for (const each of all) {
    try {
      taken.push(await take(each))
    } catch (error) {
      problems.push(error)
    }
  }
  if (taken.length === 0) throw problems[0]
  return taken
}

/** One good signature is enough. */
async function anyOf(verify: Verify, all: Candidate[]): Promise<string> {
  const { signatures } = await verify([...new Set(all.map(({ key }) => key))])
  const good = await those(all, async ({ index, by }) => {
    await assertGood(signatures[index]?.verified, by)
    return by
  })
  return good.join(', ')
}

async function assertGood(verified: Promise<true> | undefined, by: string): Promise<void> {
  if (!verified) throw badSignature(by)
  try {
    await verified
  } catch (error) {
    const why = wordsOf(error)
    if (/digest did not match|verification failed/i.test(why)) throw badSignature(by)
    throw new SigningProblem(
      `The signature by ${by} does not hold: ${why}.`,
      'Have it signed again, with a key that may sign and a hash of today.',
    )
  }
}

/** Whether hash and key may be used now. Whether the key might sign when it did is asked with the signature. */
async function assertUsable({ packet, key, by }: Candidate): Promise<void> {
  const weak = WEAK_HASHES[packet.hashAlgorithm ?? 0]
  if (weak !== undefined) throw weakHash(by, weak)
  if (await key.isRevoked()) throw notUsable(by, 'has been revoked')
  try {
    await key.getSigningKey(packet.issuerKeyID)
  } catch (error) {
    const why = wordsOf(error)
    if (/revoked/i.test(why)) throw notUsable(by, 'has been revoked')
    if (/expired/i.test(why)) throw notUsable(by, 'has expired')
    throw notUsable(by, `may not sign (${why})`)
  }
}

/** The digest that a signature is made of (RFC 9580 section 5.2.4), the content given in pieces. */
function beginDigest(packet: Packet): { update(bytes: Uint8Array): void; end(): Uint8Array } {
  const algorithm = HASHES[packet.hashAlgorithm ?? 0]
  const { version, salt, signatureData } = packet
  const type: number | null = packet.signatureType
  if (type !== BINARY || (version !== 4 && version !== 6)) throw notStreamed()
  if (algorithm === undefined || !signatureData) throw notStreamed()
  const hash = createHash(algorithm)
  if (salt) hash.update(salt)
  return {
    update: (bytes) => void hash.update(bytes),
    end: () => {
      const trailer = Buffer.from([version, 0xff, 0, 0, 0, 0])
      trailer.writeUInt32BE(signatureData.length, 2)
      return hash.update(signatureData).update(trailer).digest()
    },
  }
}

/** Signature type 0x00 (RFC 9580 section 5.2.1). */
const BINARY = 0

/** The first line of what the library says. */
const wordsOf = (error: unknown): string => ((error as Error).message.split('\n')[0] ?? '').replace(/\.$/, '')

const hex = (id: KeyID): string => id.toHex().toUpperCase()

const tooLong = () =>
  new SigningProblem(
    `The clear-signed file has more than ${LONGEST_CLEAR_TEXT} bytes.`,
    "Sign it with 'gpg --detach-sign', beside it instead of in it.",
  )

const unreadable = () =>
  new SigningProblem(
    'The signature begins like one of OpenPGP and cannot be read.',
    "Give what 'gpg --detach-sign' or 'gpg --clear-sign' wrote, unchanged.",
  )

const weakHash = (by: string, hash: string) =>
  new SigningProblem(
    `The signature by ${by} is one over a ${hash} hash, which can be forged.`,
    'Have it signed again with SHA-256 or better.',
  )

const notUsable = (by: string, what: string) =>
  new SigningProblem(
    `The signature is by ${by}, which ${what}.`,
    'Give the key as its owner publishes it now, or have it signed again with a key that holds.',
  )

const notStreamed = () =>
  new SigningProblem(
    'The signature is of a kind that cannot be checked over an image: it is one over text, or of another version or hash.',
    "Sign the image with 'gpg --detach-sign', or sign a checksum file instead of the image.",
  )
