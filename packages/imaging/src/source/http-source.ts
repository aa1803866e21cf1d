import type { AddressPolicy } from './address-policy.ts'
import { type Answer, Client } from './client.ts'
import { UnknownHost } from './dial.ts'
import { Lost, refused, startAgain } from './fault.ts'
import type { FetchLimits } from './fetch-limits.ts'
import { contentRange, type ResponseHead } from './http-head.ts'
import { Meter } from './meter.ts'
import { checkHeaders, type HeaderList } from './request.ts'
import { retry, type Retrying } from './retry.ts'
import type { ByteSink, ImageSource } from './source.ts'
import { maskUrl, parseTarget } from './target.ts'
import { isSame, strongValidator, type Validator } from './validator.ts'

/** How many ranged reads may be under way. */
const MAX_READS = 2

export interface HttpSourceOptions {
  url: string
  headers: HeaderList
  policy: AddressPolicy
  limits: FetchLimits
  /** A checksum of the whole file will be compared by the caller. */
  hasCheckSum: boolean
  signal: AbortSignal
  onLog: (line: string) => void
}

/** What is known of the served file. */
interface Facts {
  size: number | undefined
  /** The server answers ranges, and a changed file can be told by the validator. */
  ranged: boolean
  validator: Validator | null
}

/**
 * Opens an image behind http or https.
 * @throws ImagingError DOWNLOAD, TIMEOUT, CANCELLED
 */
export async function openHttpSource(options: HttpSourceOptions): Promise<ImageSource> {
  const { url, headers, policy, limits, onLog, hasCheckSum } = options
  const target = parseTarget(url, policy)
  checkHeaders(headers)
  const closer = new AbortController()
  const signal = AbortSignal.any([closer.signal, options.signal])
  const client = new Client({ target, headers, policy, limits, signal })
  const openedAt = performance.now()
  try {
    const attempt = (): Promise<Facts> => probe(client, hasCheckSum, limits)
    const opening = { ...limits, retryBudgetMs: limits.openBudgetMs }
    const facts = await retry(attempt, { limits: opening, signal, onLog, wentWellAt: () => openedAt })
    return new HttpSource(options, client, facts, closer)
  } catch (error) {
    closer.abort()
    throw error
  }
}

/**
 * Learns size, validator and whether ranges work by asking for the first byte. HEAD would not do: signed URLs are for GET
 * only, and many servers answer it otherwise than GET. Asking for all of the file at once would save one request, but the
 * answer would lie unread while the image is inspected, until the server gives up on it. Where ranges work this costs one
 * byte and leaves a connection to go on with; where they do not, the connection is closed instead of reading the file.
 */
async function probe(client: Client, hasCheckSum: boolean, limits: FetchLimits): Promise<Facts> {
  const answer = await client.get({ range: { first: 0, last: 0 }, close: false }).catch((error: Error) => {
    throw error instanceof UnknownHost && !error.mayPass ? error.asError() : error
  })
  const range = rangeOf(answer.head)
  if (range?.first === 0 && range.last === 0 && fits(answer, 1)) {
    await client.readBody(answer, new Meter(new MemorySink(new Uint8Array(1)), limits), 1)
    client.release(answer)
    const validator = strongValidator(answer.head)
    return { size: range.total, ranged: validator !== null, validator }
  }
  client.destroy(answer)
  if (answer.head.status === 200) return factsOfWhole(answer, hasCheckSum)
  // Ranges do not work as they should here, so the image is fetched without any.
  const whole = await client.get({ close: true })
  client.destroy(whole)
  return factsOfWhole(whole, hasCheckSum)
}

function factsOfWhole({ head, framing }: Answer, hasCheckSum: boolean): Facts {
  if (head.status !== 200) throw notAsked(head)
  if (framing.kind === 'close' && !hasCheckSum) {
    throw refused(
      'The image server says neither how long the image is nor where it ends, so a part could pass for the whole.',
      'Give a checksum of the image, or use a server that sends Content-Length.',
    )
  }
  if (framing.kind === 'length' && framing.length === 0) throw empty()
  const size = framing.kind === 'length' ? framing.length : undefined
  return { size, ranged: false, validator: strongValidator(head) }
}

class HttpSource implements ImageSource {
  readonly shownUrl: string
  readonly size: number | undefined
  readonly ranged: boolean
  readonly #validator: Validator | null
  readonly #hasCheckSum: boolean
  readonly #client: Client
  readonly #closer: AbortController
  readonly #retrying: Omit<Retrying, 'wentWellAt'>
  #reads = 0
  readonly #waiting: (() => void)[] = []

  constructor(options: HttpSourceOptions, client: Client, facts: Facts, closer: AbortController) {
    const { url, hasCheckSum, limits, onLog } = options
    this.shownUrl = maskUrl(url)
    this.size = facts.size
    this.ranged = facts.ranged
    this.#validator = facts.validator
    this.#hasCheckSum = hasCheckSum
    this.#client = client
    this.#closer = closer
    this.#retrying = { limits, onLog, signal: AbortSignal.any([closer.signal, options.signal]) }
  }

  async readAt(offset: number, into: Uint8Array): Promise<void> {
    if (!this.ranged) throw new TypeError('The image server does not answer ranges.')
    if (offset < 0 || offset + into.length > (this.size ?? 0))
      throw new RangeError('The read goes past the end of the image.')
    if (into.length === 0) return
    if (this.#reads === MAX_READS) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#reads++
    try {
      const meter = new Meter(new MemorySink(into), this.#retrying.limits)
      await this.#retry(meter, () => this.#readRange(meter, offset + meter.total, offset + into.length - 1))
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#reads--
    }
  }

  async stream(sink: ByteSink): Promise<number> {
    const meter = new Meter(sink, this.#retrying.limits)
    await this.#retry(meter, () => this.#streamOn(meter))
    return meter.total
  }

  close(): Promise<void> {
    this.#closer.abort()
    return Promise.resolve()
  }

  #retry(meter: Meter, attempt: () => Promise<void>): Promise<void> {
    const wentWellAt = (): number => {
      meter.lost()
      return meter.wentWellAt
    }
    return retry(attempt, { ...this.#retrying, wentWellAt })
  }

  async #readRange(meter: Meter, first: number, last: number): Promise<void> {
    const answer = await this.#part(first, last)
    try {
      await this.#client.readBody(answer, meter, last - first + 1)
    } catch (error) {
      this.#client.destroy(answer)
      throw error
    }
    this.#client.release(answer)
  }

  /** Goes on where `meter` stands: the whole file at first, the rest of it after a lost connection. */
  async #streamOn(meter: Meter): Promise<void> {
    const first = meter.total
    const answer = first === 0 ? await this.#whole() : await this.#part(first)
    try {
      await this.#client.readBody(answer, meter, this.size === undefined ? undefined : this.size - first)
      if (meter.total === 0) throw empty()
      if (this.#hasCheckSum || !(await answer.connection.hasSurplus(this.#retrying.limits.surplusMs))) return
      throw refused(
        'The image server sent more bytes than the length it declared.',
        'Give a checksum of the image, or repair what the server declares as its Content-Length.',
      )
    } catch (error) {
      throw error instanceof Lost && meter.total > 0 && !this.ranged ? cannotResume(error) : error
    } finally {
      this.#client.destroy(answer)
    }
  }

  /** The file from its first byte, by a plain GET: any server and any cache knows how to answer that. */
  async #whole(): Promise<Answer> {
    const answer = await this.#client.get({ close: true })
    return this.#checked(answer, () => {
      if (answer.head.status !== 200) throw notAsked(answer.head)
      const { size } = factsOfWhole(answer, this.#hasCheckSum || this.size !== undefined)
      const isOther = this.#validator !== null && !isSame(this.#validator, answer.head)
      if (isOther || (this.size !== undefined && size !== undefined && size !== this.size)) throw changed()
    })
  }

  /** The bytes `first` to `last`, or to the end. Nothing but exactly these bytes of the same file will do. */
  async #part(first: number, last?: number): Promise<Answer> {
    const ifRange = this.#validator?.text ?? ''
    const options =
      last === undefined ? { range: { first }, close: true } : { range: { first, last }, close: false }
    const answer = await this.#client.get({ ...options, ifRange })
    return this.#checked(answer, () => {
      const { head } = answer
      const range = rangeOf(head)
      if (this.#validator === null || !isSame(this.#validator, head)) throw changed()
      if (head.status === 416 || (range && range.total !== this.size)) throw changed()
      const end = last ?? (this.size ?? 0) - 1
      if (range?.first !== first || range.last !== end || !fits(answer, end - first + 1)) throw wrongRange()
    })
  }

  #checked(answer: Answer, check: () => void): Answer {
    try {
      check()
      return answer
    } catch (error) {
      this.#client.destroy(answer)
      throw error
    }
  }
}

/** Fills one piece of memory. */
class MemorySink implements ByteSink {
  #left: Uint8Array

  constructor(memory: Uint8Array) {
    this.#left = memory
  }

  reserve(): Uint8Array {
    return this.#left
  }

  commit(length: number): void {
    this.#left = this.#left.subarray(length)
  }
}

/** The one range that a 206 holds; null where it is not said or there are several. */
function rangeOf(head: ResponseHead) {
  const isMultipart = /^multipart\//i.test(head.fields.get('content-type') ?? '')
  return head.status === 206 && !isMultipart ? contentRange(head) : null
}

const fits = ({ framing }: Answer, length: number): boolean =>
  framing.kind !== 'length' || framing.length === length

const empty = () => refused('The image at the URL is an empty file.', 'Put an image at that URL.')

const notAsked = ({ status }: ResponseHead) =>
  refused(
    `The image server answered a request for the whole file with status ${status}.`,
    'Use an image server that answers a plain GET with the whole file and status 200.',
  )

const changed = () =>
  startAgain(
    'The file at the URL changed while it was being fetched.',
    'Leave the file as it is until the deployment has ended; publish new images under new names.',
  )

const wrongRange = () =>
  startAgain(
    'The image server did not send the range of the file that it was asked for.',
    'Use an image server that answers Range requests as RFC 9110 says, or none at all.',
  )

const cannotResume = (lost: Lost) =>
  startAgain(
    `${lost.cause.replace(/\.$/, '')}, and the server cannot go on where it stopped.`,
    'Use an image server that answers Range requests and gives a strong ETag, or a steadier network path.',
  )
