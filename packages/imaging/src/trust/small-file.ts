import type { FileBeside } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import { type OpenSourceRequest, openSource } from '../source/open-source.ts'
import type { ByteSink } from '../source/source.ts'
import { maskUrl } from '../source/target.ts'

/** A file that changes while it is served is asked for again this often. */
const ATTEMPTS = 3

/** What a file beside the image is, in sentences: `checksum file` or `signature`. */
type What = 'checksum file' | 'signature'

/**
 * Fetches a small file beside the image, as the image itself is fetched: same addresses, redirects and limits. The headers that
 * were given for the image go along only where the origin is the image's.
 * @throws ImagingError DOWNLOAD, TIMEOUT, CANCELLED; TRUST where it has more than `limit` bytes.
 */
export async function fetchSmall(
  what: What,
  place: FileBeside,
  limit: number,
  image: OpenSourceRequest,
): Promise<Buffer> {
  const { file: _file, ...rest } = image
  const request: OpenSourceRequest = {
    ...rest,
    url: place.url,
    ...(place.file ? { file: true } : {}),
    httpHeader: isSameOrigin(place, image) ? image.httpHeader : [],
    hasCheckSum: false,
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetchOnce(request, limit, what)
    } catch (error) {
      if (!(error instanceof ImagingError)) throw error
      if (!error.startAgain || attempt === ATTEMPTS) throw told(error, what, place)
    }
  }
}

/** For sentences. */
export const shownPlace = ({ url, file }: FileBeside): string => (file ? url : maskUrl(url))

async function fetchOnce(request: OpenSourceRequest, limit: number, what: What): Promise<Buffer> {
  const source = await openSource(request)
  try {
    const sink = new BoundedSink(limit, what)
    await source.stream(sink)
    return sink.bytes()
  } finally {
    await source.close()
  }
}

class BoundedSink implements ByteSink {
  readonly #memory: Buffer
  readonly #what: What
  #length = 0

  constructor(limit: number, what: What) {
    this.#memory = Buffer.alloc(limit + 1) // one more, to see that there is more
    this.#what = what
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    const room = this.#memory.subarray(this.#length)
    return room.length > 0 ? room : Promise.reject(this.#tooLarge())
  }

  commit(length: number): void {
    this.#length += length
  }

  bytes(): Buffer {
    if (this.#length === this.#memory.length) throw this.#tooLarge()
    return this.#memory.subarray(0, this.#length)
  }

  #tooLarge(): ImagingError {
    return new ImagingError('TRUST', {
      cause: `The ${this.#what} has more than ${this.#memory.length - 1} bytes.`,
      remedy: `Give the URL of the ${this.#what} itself.`,
    })
  }
}

function isSameOrigin(place: FileBeside, image: OpenSourceRequest): boolean {
  if (place.file || image.file || !URL.canParse(place.url) || !URL.canParse(image.url)) return false
  return new URL(place.url).origin === new URL(image.url).origin
}

/** The sentences of the source speak of the image. */
function told(error: ImagingError, what: What, place: FileBeside): ImagingError {
  if (error.code === 'CANCELLED' || error.code === 'TRUST') return error
  return new ImagingError(error.code, {
    cause: `The ${what} ${shownPlace(place)} could not be fetched: ${error.cause}`,
    remedy: `Give the URL of a ${what} that the server being deployed can fetch.`,
    origin: error,
  })
}
