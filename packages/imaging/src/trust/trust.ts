import { basename } from 'node:path'
import {
  beginDetached,
  type ContentCheck,
  LONGEST_SIGNATURE,
  readSigningKey,
  type SigningKey,
  SigningProblem,
  verifyClearText,
  verifyDetached,
} from '@byoi/signing'
import type { ImageRequest, SignatureRequest, SumsRequest } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import type { OpenSourceRequest } from '../source/open-source.ts'
import { ObservedSource } from '../source/observed-source.ts'
import type { ImageSource } from '../source/source.ts'
import { fetchSmall, shownPlace } from './small-file.ts'
import { findSum } from './sums.ts'

/** What a checksum file may have, in bytes. */
const LONGEST_SUMS = 1024 * 1024

const CLEAR_SIGNED = '-----BEGIN PGP SIGNED MESSAGE-----'

/** What vouches for the image. */
export interface Trust {
  /** Given with the request, or taken from the checksum file. */
  readonly checkSum: ImageRequest['checkSum']
  /** By whom, one sentence each. */
  readonly notes: string[]
  /** Of the source as served: the same, with the bytes that it streams taken for the signature of the image. */
  watch(source: ImageSource): ImageSource
  /**
   * The whole image has been streamed.
   * @throws ImagingError TRUST where it is not what was signed.
   */
  assertSigned(): Promise<void>
}

/**
 * Fetches the checksum file and the signatures and verifies all that can be verified without the image. `request`: how the image
 * is fetched.
 * @throws ImagingError TRUST, and as `openSource` does.
 */
export async function establishTrust(image: ImageRequest, request: OpenSourceRequest): Promise<Trust> {
  const notes: string[] = []
  let { checkSum } = image
  if (image.sums) {
    if (checkSum) throw twoChecksums()
    checkSum = await sumOf(image.sums, image, request, notes)
  }
  const begin = image.signature ? await signatureOf(image.signature, request) : null
  let check: ContentCheck | null = null
  return {
    checkSum,
    notes,
    watch(source) {
      if (begin === null) return source
      // From the first byte on each time that the stream begins.
      const onStream = async () => {
        const begun = (check = await begin())
        return (bytes: Uint8Array) => begun.update(bytes)
      }
      return new ObservedSource(source, { onStream })
    },
    async assertSigned() {
      if (begin === null) return
      if (check === null) throw new Error('The image was not streamed.')
      notes.push(`The image is signed by ${await orTrustError(check.finish())}.`)
    },
  }
}

async function sumOf(
  sums: SumsRequest,
  image: ImageRequest,
  request: OpenSourceRequest,
  notes: string[],
): Promise<ImageRequest['checkSum']> {
  const keys = await readKeys(sums.keys)
  const shown = shownPlace(sums)
  const bytes = await fetchSmall('checksum file', sums, LONGEST_SUMS, request)
  const { list, by } = await signedList(sums, bytes, keys, request)
  const name = sums.name ?? nameOf(image)
  const found = findSum(list, name, shown)
  const signed = by === null ? 'which nobody has signed' : `signed by ${by}`
  notes.push(`The checksum was taken from ${shown}, ${signed}.`)
  return found
}

/** What of the checksum file may be believed, and on whose word; null: on that of whoever serves it. */
async function signedList(
  { signature, ...sums }: SumsRequest,
  bytes: Buffer,
  keys: SigningKey[],
  request: OpenSourceRequest,
): Promise<{ list: string; by: string | null }> {
  const list = bytes.toString()
  if (signature) {
    if (keys.length === 0) throw noKey()
    const detached = await fetchSmall('signature', signature, LONGEST_SIGNATURE, request)
    return { list, by: await orTrustError(verifyDetached(detached, keys, bytes)) }
  }
  const isClearSigned = list.includes(CLEAR_SIGNED)
  if (keys.length === 0) {
    if (isClearSigned) throw noKey()
    return { list, by: null }
  }
  if (!isClearSigned) throw notSigned(shownPlace(sums))
  const rings = keys.filter((key) => key.format === 'openpgp')
  const { text, by } = await orTrustError(verifyClearText(list, rings))
  return { list: text, by }
}

/** Fetches the image's signature, and gives what begins to check it: once here, to see whether that can be done at all. */
async function signatureOf(
  signature: SignatureRequest,
  request: OpenSourceRequest,
): Promise<() => Promise<ContentCheck>> {
  const keys = await readKeys(signature.keys)
  if (keys.length === 0) throw noKey()
  const bytes = await fetchSmall('signature', signature, LONGEST_SIGNATURE, request)
  const begin = () => orTrustError(beginDetached(bytes, keys))
  await begin()
  return begin
}

const readKeys = (keys: string[]): Promise<SigningKey[]> =>
  Promise.all(keys.map((key) => orTrustError(readSigningKey(key))))

/** The last part of the URL or path, as a person reads it. */
function nameOf({ url, file }: ImageRequest): string {
  if (file) return basename(url)
  const last = URL.canParse(url) ? (new URL(url).pathname.split('/').at(-1) ?? '') : ''
  try {
    return decodeURIComponent(last)
  } catch {
    return last
  }
}

/** `promise`, its SigningProblem as the engine's error. */
async function orTrustError<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise
  } catch (error) {
    if (!(error instanceof SigningProblem)) throw error
    const { cause, remedy } = error
    throw new ImagingError('TRUST', { cause, remedy, origin: error })
  }
}

const twoChecksums = () =>
  new ImagingError('TRUST', {
    cause: 'Both a checksum and a checksum file were given.',
    remedy: 'Give one of them.',
  })

const noKey = () =>
  new ImagingError('TRUST', {
    cause: 'There is a signature to verify, and no key to verify it by was given.',
    remedy: 'Give the public key of whoever signs.',
  })

const notSigned = (shown: string) =>
  new ImagingError('TRUST', {
    cause: `Keys were given, but the checksum file ${shown} is not signed in itself, and no signature of it was given.`,
    remedy: 'Give the URL of its signature, or leave the keys out to believe whoever serves it.',
  })
