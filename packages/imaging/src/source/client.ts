import { STATUS_CODES } from 'node:http'
import type { AddressPolicy } from './address-policy.ts'
import { ChunkedDecoder } from './chunked.ts'
import type { Connection } from './connection.ts'
import { dial } from './dial.ts'
import { badHttp, cancelled, checkServer, Lost, refused } from './fault.ts'
import type { FetchLimits } from './fetch-limits.ts'
import { bodyFraming, type Framing, refuseContentEncoding, type ResponseHead } from './http-head.ts'
import type { Meter } from './meter.ts'
import { formatGet, type GetOptions, type HeaderList } from './request.ts'
import { parseTarget, type Target } from './target.ts'
import { httpDate } from './validator.ts'

const REDIRECTS = new Set([301, 302, 303, 307, 308])

/** Answers that say "not now" (RFC 9110 section 15, RFC 6585); all of 500 to 599 do too. */
const BUSY = new Set([408, 425, 429])

const MAX_POOLED = 2

/** An answer whose body has not been read. The connection belongs to whoever holds this: release or destroy it. */
export interface Answer {
  head: ResponseHead
  framing: Framing
  connection: Connection
  origin: string
}

interface Pooled {
  origin: string
  connection: Connection
}

export interface ClientOptions {
  target: Target
  headers: HeaderList
  policy: AddressPolicy
  limits: FetchLimits
  signal: AbortSignal
}

/** GET requests for one URL: redirects, customer's headers, limits of time, and a few connections kept for the next request. */
export class Client {
  readonly #options: ClientOptions
  readonly #pool: Pooled[] = []
  readonly #busy = new Set<Connection>()

  constructor(options: ClientOptions) {
    this.#options = options
    options.signal.addEventListener('abort', () => this.#destroyAll(), { once: true })
  }

  /**
   * One GET of the original URL. Redirects are followed here, each judged like the first URL; the customer's headers go
   * to the origin of the original URL only, and after a hop elsewhere to no one (RFC 9110 section 15.4).
   * @returns an answer of status 200, 206 or 416.
   * @throws Lost; ImagingError DOWNLOAD, CANCELLED
   */
  async get(options: GetOptions): Promise<Answer> {
    const { limits, policy } = this.#options
    let { target, headers } = this.#options
    for (let hops = 0; ; hops++) {
      const answer = await this.#exchange(target, formatGet(target, options, headers))
      try {
        if (!REDIRECTS.has(answer.head.status)) return judged(answer)
        if (hops === limits.redirects) throw redirectProblem(`more than ${limits.redirects} times`)
        const next = redirectTarget(answer.head, target, policy)
        if (next.url.origin !== this.#options.target.url.origin) headers = []
        target = next
      } catch (error) {
        this.destroy(answer)
        throw error
      }
      this.destroy(answer)
    }
  }

  /** Reads the body into `meter`: exactly `length` bytes, or where that is undefined up to its end. */
  async readBody({ connection, framing }: Answer, meter: Meter, length: number | undefined): Promise<void> {
    const read = (): Promise<void> =>
      framing.kind === 'chunked'
        ? readChunked(connection, meter, length)
        : connection.fill(
            meter,
            length ?? (framing.kind === 'length' ? framing.length : Number.POSITIVE_INFINITY),
          )
    await meter.watch(read, (reason) => connection.destroy(reason))
  }

  /** Gives back the connection of an answer whose body has been read to its end. */
  release({ head, framing, connection, origin }: Answer): void {
    this.#busy.delete(connection)
    const stays = head.minor === 1 && !/\bclose\b/i.test(head.fields.get('connection') ?? '')
    if (stays && framing.kind !== 'close' && connection.isIdle && this.#pool.length < MAX_POOLED) {
      this.#pool.push({ origin, connection })
    } else connection.destroy()
  }

  destroy({ connection }: Answer): void {
    this.#busy.delete(connection)
    connection.destroy()
  }

  #destroyAll(): void {
    for (const connection of this.#busy) connection.destroy(cancelled())
    for (const { connection } of this.#pool.splice(0)) connection.destroy(cancelled())
  }

  async #exchange(target: Target, request: Buffer): Promise<Answer> {
    const { origin } = target.url
    for (;;) {
      const connection = await this.#connection(target)
      const { limits } = this.#options
      const timer = setTimeout(() => connection.destroy(headTooSlow(limits)), limits.headMs)
      try {
        const head = await connection.exchange(request)
        return { head, framing: bodyFraming(head), connection, origin }
      } catch (error) {
        this.#busy.delete(connection)
        connection.destroy()
        // The server may close a kept connection at any time; that is no failure and costs no pause.
        if (!(error instanceof Lost && error.code === 'DOWNLOAD' && connection.reused)) throw error
      } finally {
        clearTimeout(timer)
      }
    }
  }

  async #connection(target: Target): Promise<Connection> {
    const { policy, limits, signal } = this.#options
    if (signal.aborted) throw cancelled()
    const kept = this.#pool.findIndex(
      ({ origin, connection }) => origin === target.url.origin && connection.isIdle,
    )
    if (kept >= 0) {
      const { connection } = this.#pool.splice(kept, 1)[0] as Pooled
      connection.reused = true
      this.#busy.add(connection)
      return connection
    }
    // Those that are left are dead or lead elsewhere.
    for (const { connection } of this.#pool.splice(0)) connection.destroy()
    const connection = await dial(target, policy, limits.connectMs, signal)
    this.#busy.add(connection)
    if (!signal.aborted) return connection
    this.#destroyAll()
    throw cancelled()
  }
}

async function readChunked(connection: Connection, meter: Meter, length: number | undefined): Promise<void> {
  const decoder = new ChunkedDecoder()
  let left = length ?? Number.POSITIVE_INFINITY
  let memory: Uint8Array | null = null
  let used = 0
  const commit = (): void => {
    memory = null
    if (used > 0) meter.commit(used)
    used = 0
  }
  while (!decoder.done) {
    const bytes = await connection.more()
    if (bytes === null)
      throw new Lost('DOWNLOAD', 'The connection ended before the last chunk of the image.', checkServer)
    for (const data of decoder.decode(bytes)) {
      left -= data.length
      if (left < 0) throw badHttp('it holds more bytes than it declares')
      for (let at = 0; at < data.length; ) {
        const next: Uint8Array | Promise<Uint8Array> = memory ?? meter.reserve()
        memory = next instanceof Uint8Array ? next : await connection.orOver(next)
        const part = data.subarray(at, at + memory.length - used)
        memory.set(part, used)
        used += part.length
        at += part.length
        if (used === memory.length) commit()
      }
    }
    commit()
  }
  if (length !== undefined && left > 0) throw badHttp('it holds fewer bytes than it declares')
  connection.putBack(decoder.rest)
}

function redirectTarget(head: ResponseHead, from: Target, policy: AddressPolicy): Target {
  const location = head.fields.get('location')
  if (location === undefined || location === '') throw redirectProblem('without saying where to')
  const target = parseTarget(location, policy, from.url)
  if (from.secure && !target.secure) throw redirectProblem('from https to http')
  return target
}

/** `how` completes the sentence "The image server redirected ...". */
const redirectProblem = (how: string) =>
  refused(
    `The image server redirected ${how}.`,
    'Give the URL of the image itself, which no redirect leads to.',
  )

/** Only answers whose body is the image, or a part of it, get through; a 416 says that there is no such part. */
function judged(answer: Answer): Answer {
  const { status, fields } = answer.head
  if (status === 416) return answer
  if (status === 200 || status === 206) {
    refuseContentEncoding(answer.head)
    return answer
  }
  // The server's own phrase could repeat what we sent.
  const said = `The image server answered ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd()
  if (BUSY.has(status) || (status >= 500 && status <= 599)) {
    throw new Lost(
      'DOWNLOAD',
      `${said}.`,
      'Check the image server, or try again when it is less busy.',
      retryAfter(fields.get('retry-after')),
    )
  }
  if (status === 401 || status === 403) {
    throw refused(`${said}.`, 'Check the credentials in httpHeader, or that a signed URL has not expired.')
  }
  throw refused(
    `${said}${status === 204 ? ', which is an empty file' : ''}.`,
    'Check that the URL is that of an image which exists.',
  )
}

/** Retry-After in ms: seconds, or a date (RFC 9110 section 10.2.3). */
function retryAfter(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const wait = httpDate(text) - Date.now()
  return Number.isNaN(wait) ? undefined : Math.max(0, wait)
}

const headTooSlow = ({ headMs }: FetchLimits) =>
  new Lost('TIMEOUT', `The image server did not answer a request within ${headMs / 1000} s.`, checkServer)
