import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TlsOptions } from 'node:tls'

export interface SeenRequest {
  /** Request line and header fields as they came. */
  text: string
  path: string
  /** Lower-case names. */
  headers: Map<string, string>
}

export type Handler = (request: SeenRequest, socket: Socket, index: number) => void | Promise<void>

export interface ScriptedServer extends AsyncDisposable {
  origin: string
  port: number
  requests: SeenRequest[]
  /** Connections that were accepted. */
  connections: number
  /** For each connection, the address of this machine that it came to. */
  reached: string[]
  /** TLS: for the connections that come. */
  setCertificate(tls: TlsOptions): void
}

/**
 * A server that says exactly what `handler` writes to the socket; HTTP is the handler's business. It listens on loopback,
 * unless `at` names an address, or `::` for all.
 */
export async function scriptedServer(
  handler: Handler,
  tls?: TlsOptions,
  at = '127.0.0.1',
): Promise<ScriptedServer> {
  const sockets = new Set<Socket>()
  const accept = (socket: Socket): void => {
    server.connections++
    server.reached.push((socket.localAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''))
    sockets.add(socket)
    socket.on('error', () => undefined) // the client may break off whenever it likes
    socket.on('close', () => sockets.delete(socket))
    let text = ''
    socket.setEncoding('latin1').on('data', (data: string) => {
      text += data
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      const request = parseRequest(text.slice(0, end))
      text = text.slice(end + 4)
      server.requests.push(request)
      void handler(request, socket, server.requests.length - 1)
    })
  }
  const listener = tls
    ? createTlsServer(tls, accept).on('tlsClientError', () => undefined)
    : createServer(accept)
  listener.listen(0, at)
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const server: ScriptedServer = {
    origin: `${tls ? 'https' : 'http'}://${at}:${port}`,
    port,
    requests: [],
    connections: 0,
    reached: [],
    setCertificate: ({ key, cert }) => (listener as TlsServer).setSecureContext({ key, cert }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      if (listener.listening) await once(listener, 'close')
    },
  }
  return server
}

function parseRequest(text: string): SeenRequest {
  const [line = '', ...fields] = text.split('\r\n')
  const headers = new Map<string, string>()
  for (const field of fields) {
    const colon = field.indexOf(':')
    headers.set(field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim())
  }
  return { text, path: line.split(' ')[1] ?? '', headers }
}

/** Status line and fields, as a head. */
export const head = (status: number, fields: Record<string, string | number> = {}): string =>
  [
    `HTTP/1.1 ${status} Some Phrase`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ].join('\r\n')

export type Cut = 'reset' | 'end' | 'silence'

export interface FileOptions {
  etag?: string | null
  ranges?: boolean
  chunked?: boolean
  /** Fields beside those of framing and range. */
  fields?: Record<string, string>
  /**
   * How the body of the answer to the first plain GET breaks off, and after how many bytes of it. `taken`: waited for
   * before, as a reset discards what the client has not read.
   */
  cut?: { how: Cut; at: number; taken?: () => Promise<void> }
  /** Gets the offset in `content` and the length of each part of it that is sent; chunk framing is not counted. */
  onBody?: (first: number, length: number) => void
  /** Answers every request after the cut. */
  afterCut?: Handler
}

/** A handler that serves `content` as it should, but for what the options say. */
export function fileHandler(content: Buffer, options: FileOptions = {}): Handler {
  const { etag = '"v1"', ranges = true, chunked = false, cut, afterCut } = options
  let isCut = false
  return async (request, socket, index) => {
    if (isCut && afterCut) return afterCut(request, socket, index)
    const asked = ranges ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.get('range') ?? '') : null
    const isStale = request.headers.has('if-range') && request.headers.get('if-range') !== etag
    const range = isStale ? null : asked
    const first = Number(range?.[1] ?? 0)
    const last = range?.[2] ? Number(range[2]) : content.length - 1
    const body = content.subarray(first, last + 1)
    const fields = {
      ...(etag === null ? {} : { ETag: etag }),
      ...(range ? { 'Content-Range': `bytes ${first}-${last}/${content.length}` } : {}),
      ...(chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': body.length }),
      ...options.fields,
    }
    socket.write(head(range ? 206 : 200, fields))
    const framed = chunked ? inChunks(body) : body
    const isWhole = !cut || isCut || request.headers.has('range')
    options.onBody?.(first, isWhole ? body.length : Math.min(cut.at, body.length))
    if (isWhole) {
      socket.write(framed)
      if (request.headers.get('connection') === 'close') socket.end()
      return
    }
    isCut = true
    const begin = body.subarray(0, cut.at)
    await breakOff(
      socket,
      chunked ? inChunks(begin).subarray(0, -END_CHUNK.length) : begin,
      cut.how,
      cut.taken,
    )
  }
}

/** Writes `bytes`, waits until the kernel has them and then for `taken`, and breaks off. */
export async function breakOff(
  socket: Socket,
  bytes: Uint8Array,
  how: Cut,
  taken?: () => Promise<void>,
): Promise<void> {
  if (bytes.length > 0) await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
  await taken?.()
  if (how === 'end') socket.end()
  if (how === 'reset') socket.resetAndDestroy()
}

const END_CHUNK = '0\r\n\r\n'

export function inChunks(body: Buffer, size = 70_001): Buffer {
  const parts: (Buffer | string)[] = []
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size)
    parts.push(`${part.length.toString(16)}\r\n`, part, '\r\n')
  }
  return Buffer.concat([...parts, END_CHUNK].map((part) => Buffer.from(part as string)))
}

/** Writes `bytes` in pieces, and after each tells how much the kernel has taken. Ends early when the other side is gone. */
export async function writeSlowly(
  socket: Socket,
  bytes: Uint8Array,
  taken: (bytes: number) => void,
): Promise<void> {
  const size = 256 * 1024
  for (let at = 0; at < bytes.length && !socket.destroyed; at += size) {
    await new Promise<void>((resolve) => {
      socket.once('close', resolve)
      socket.write(bytes.subarray(at, at + size), () => {
        socket.off('close', resolve)
        resolve()
      })
    })
    taken(Math.min(at + size, bytes.length))
  }
}
