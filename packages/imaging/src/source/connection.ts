import type { OnReadOpts, Socket } from 'node:net'
import { badHttp, checkServer, Lost } from './fault.ts'
import { findHeadEnd, MAX_HEAD, parseHead, type ResponseHead } from './http-head.ts'
import type { ByteSink } from './source.ts'

/** Memory for what nobody has reserved memory for, and how much of it may lie about before the socket is paused. */
const SPARE = 64 * 1024
const HOLD = 256 * 1024

/** How many 1xx answers may come before the real one. */
const MAX_INTERIM = 16

/** A body that goes straight into a sink's memory. */
interface Direct {
  sink: ByteSink
  left: number
  /** The open reservation, not longer than what is left; null while the sink makes us wait. */
  memory: Uint8Array | null
  resolve: () => void
  reject: (error: Error) => void
}

/**
 * One HTTP/1.1 connection, read by `onread`: the kernel's bytes land in memory that we name before each read, so that a
 * body of known length arrives in its place without a copy. A socket asks for that memory right after each read, even
 * when it is told to pause; where the sink has no room yet it gets a spare buffer, from which the first bytes after the
 * pause are copied. TLS goes on delivering for a while after it was told to pause, which the spare buffers take as well.
 */
export class Connection {
  /** True from the second request on: the server may have closed it meanwhile. */
  reused = false
  readonly #socket: Socket
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #free: Uint8Array[] = []
  #lent: Uint8Array | null = null
  #direct: Direct | null = null
  #paused = false
  /** Why nothing more will come, once what is pending has been taken. */
  #over: Error | 'end' | null = null
  #wake: (() => void) | null = null
  #interrupt: ((error: Error) => void) | null = null

  /** `dial` makes the socket with the `onread` that it is given. */
  constructor(dial: (onread: OnReadOpts) => Socket) {
    this.#socket = dial({
      buffer: () => this.#direct?.memory ?? this.#spare(),
      callback: (length, memory) => this.#arrived(length, memory),
    })
    this.#socket.setNoDelay(true)
    this.#socket.on('error', (error) => this.#end(lostBy(error)))
    this.#socket.on('end', () => this.#end('end'))
    this.#socket.on('close', () => this.#end(closedEarly()))
  }

  /** True while another request may be sent: nothing has arrived that was not asked for. */
  get isIdle(): boolean {
    return this.#over === null && this.#pendingBytes === 0 && this.#direct === null
  }

  /** Resolves when `event` is emitted, rejects with the socket's own error. */
  ready(event: 'connect' | 'secureConnect'): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#socket.once(event, resolve)
    this.#socket.once('error', reject)
    this.#socket.once('close', () => reject(this.#over instanceof Error ? this.#over : closedEarly()))
    return promise
  }

  /** Sends a request and gives the head of its final answer. */
  async exchange(request: Buffer): Promise<ResponseHead> {
    this.#socket.write(request)
    for (let interim = 0; interim <= MAX_INTERIM; interim++) {
      const head = parseHead(await this.#readHead())
      if (head.status === 101) throw badHttp('it switches to another protocol')
      if (head.status >= 200) return head
    }
    throw badHttp(`more than ${MAX_INTERIM} interim answers came before the real one`)
  }

  /** Delivers `length` bytes into the sink; with `Infinity`, all until the server closes the connection. */
  fill(sink: ByteSink, length: number): Promise<void> {
    if (length === 0) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#direct = { sink, left: length, memory: null, resolve, reject }
    this.#reserve(this.#direct)
    this.#pump()
    this.#resume()
    return promise
  }

  /** The next bytes, valid until the next call; null when the server has closed the connection. */
  async more(): Promise<Uint8Array | null> {
    if (this.#lent) this.#recycle(this.#lent)
    this.#lent = null
    while (this.#pending.length === 0) {
      if (this.#over === 'end') return null
      if (this.#over) throw this.#over
      this.#resume()
      await this.orOver(new Promise<void>((resolve) => (this.#wake = resolve)))
    }
    const bytes = this.#pending.shift() as Uint8Array
    this.#pendingBytes -= bytes.length
    this.#lent = bytes
    this.#resume()
    return bytes
  }

  /** Puts back the end of what `more` gave. */
  putBack(rest: Uint8Array): void {
    if (rest.length === 0) return
    this.#lent = null
    this.#pending.unshift(rest)
    this.#pendingBytes += rest.length
  }

  /** `promise`, or the failure of the connection where that comes first. */
  orOver<T>(promise: Promise<T>): Promise<T> {
    const { promise: first, resolve, reject } = Promise.withResolvers<T>()
    this.#interrupt = reject
    promise.then(resolve, reject)
    return first
  }

  /** True where at least one more byte comes before the server closes the connection or `wait` ms are over. */
  async hasSurplus(wait: number): Promise<boolean> {
    const timer = setTimeout(() => this.destroy(closedEarly()), wait)
    try {
      return (await this.more()) !== null
    } catch {
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  /** Closes at once; whoever waits gets `error`. */
  destroy(error: Error = closedEarly()): void {
    if (!(this.#over instanceof Error)) this.#over = error
    this.#pending = []
    this.#pendingBytes = 0
    this.#socket.destroy()
    this.#settle()
  }

  async #readHead(): Promise<Buffer> {
    let head: Buffer = Buffer.alloc(0)
    for (;;) {
      const bytes = await this.more()
      if (bytes === null) throw closedEarly()
      const searched = head.length
      head = Buffer.concat([head, bytes.subarray(0, MAX_HEAD - searched)])
      const end = findHeadEnd(head, searched)
      if (end < 0) continue
      this.putBack(bytes.subarray(end - searched))
      return head.subarray(0, end)
    }
  }

  #spare(): Uint8Array {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SPARE)
  }

  #recycle(chunk: Uint8Array): void {
    if (this.#free.length < 4) this.#free.push(new Uint8Array(chunk.buffer as ArrayBuffer))
  }

  /** The socket has put `length` bytes into `memory`. Gives false to pause it. */
  #arrived(length: number, memory: Uint8Array): boolean {
    if (this.#direct && this.#direct.memory === memory) {
      this.#took(this.#direct, length)
    } else {
      this.#pending.push(memory.subarray(0, length))
      this.#pendingBytes += length
      this.#pump()
    }
    const goOn = this.#wantsMore()
    if (!goOn) this.#paused = true
    return goOn && !this.#paused
  }

  #wantsMore(): boolean {
    return this.#direct ? this.#direct.memory !== null : this.#pendingBytes < HOLD
  }

  #resume(): void {
    if (!this.#paused || !this.#wantsMore()) return
    this.#paused = false
    this.#socket.resume()
  }

  /** Moves pending bytes on to who waits for them. */
  #pump(): void {
    while (this.#direct?.memory && this.#pending[0]) {
      const { memory } = this.#direct
      const bytes = this.#pending[0]
      const part = bytes.subarray(0, memory.length)
      memory.set(part)
      this.#pendingBytes -= part.length
      if (part.length === bytes.length) this.#recycle(this.#pending.shift() as Uint8Array)
      else this.#pending[0] = bytes.subarray(part.length)
      this.#took(this.#direct, part.length)
    }
    if (this.#over) this.#settle()
    else if (!this.#direct) this.#wake?.()
  }

  #took(direct: Direct, length: number): void {
    direct.left -= length
    direct.memory = null
    try {
      direct.sink.commit(length)
    } catch (error) {
      return this.destroy(error as Error)
    }
    if (direct.left > 0) return this.#reserve(direct)
    this.#direct = null
    direct.resolve()
  }

  #reserve(direct: Direct): void {
    const use = (memory: Uint8Array): void => {
      // A view of its own, so that it can be told from every other memory.
      if (this.#direct === direct) direct.memory = memory.subarray(0, Math.min(memory.length, direct.left))
    }
    try {
      const memory = direct.sink.reserve()
      if (memory instanceof Uint8Array) return use(memory)
      memory.then(
        (late) => {
          use(late)
          this.#pump()
          this.#resume()
        },
        (error: Error) => this.destroy(error),
      )
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  #end(how: Error | 'end'): void {
    this.#over ??= how
    this.#settle()
  }

  /** Tells whoever waits that nothing more comes, unless there still are bytes to take. */
  #settle(): void {
    if (this.#over === null || this.#pending.length > 0) return
    const error = this.#over === 'end' ? closedEarly() : this.#over
    const direct = this.#direct
    this.#direct = null
    if (direct && this.#over === 'end' && direct.left === Number.POSITIVE_INFINITY) direct.resolve()
    else direct?.reject(error)
    if (this.#over === 'end') this.#wake?.()
    else this.#interrupt?.(error)
  }
}

const closedEarly = () =>
  new Lost('DOWNLOAD', 'The image server closed the connection before the end of the image.', checkServer)

const MEANING: Record<string, string> = {
  ECONNRESET: 'was reset by the image server',
  EPIPE: 'was closed by the image server',
  ETIMEDOUT: 'timed out',
  EHOSTUNREACH: 'was lost because the image server became unreachable',
  ENETUNREACH: 'was lost because the network became unreachable',
}

function lostBy(error: Error): Lost {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException
  return new Lost('DOWNLOAD', `The connection ${MEANING[code] ?? 'broke'} (${code}).`, checkServer)
}
