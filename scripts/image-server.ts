/**
 * A small static server for disk images on loopback: GET and HEAD with ranges and a strong ETag (RFC 9110), as fast as the
 * machine allows or throttled.
 *
 *     node scripts/image-server.ts FILE ... [--rate BYTES_PER_SECOND]
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

export interface ServeOptions {
  /** Bytes per second and connection; absent: unlimited. */
  rate?: number
  /** False: answers every GET with the whole file, and says so. */
  ranges?: boolean
  /** The connection is cut after this many bytes of every answer. */
  cutAfter?: number
}

export interface ImageServer {
  /** Base URL without a slash at the end. */
  url: string
  /** URL of a file that is served. */
  urlOf: (path: string) => string
  close: () => Promise<void>
}

/** Passes `bytesPerSecond` on, in small pieces, so that a client sees a slow but steady server. */
function throttle(bytesPerSecond: number): Transform {
  const start = Date.now()
  let passed = 0
  return new Transform({
    async transform(chunk: Buffer, _encoding, done) {
      passed += chunk.length
      const ahead = (passed / bytesPerSecond) * 1000 - (Date.now() - start)
      if (ahead > 0) await sleep(ahead)
      done(null, chunk)
    },
  })
}

/** First and last byte that a Range header asks for (one range only), null when it cannot be met, undefined without one. */
export function askedRange(header: string | undefined, size: number): [number, number] | null | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const first = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1])
  const last = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1)
  return first > last ? null : [first, last]
}

async function serveFile(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  { rate, ranges = true, cutAfter = Number.POSITIVE_INFINITY }: ServeOptions,
): Promise<void> {
  const { size, mtimeMs } = await stat(path)
  const etag = `"${size.toString(16)}-${Math.trunc(mtimeMs).toString(16)}"`
  const stale = request.headers['if-range'] !== undefined && request.headers['if-range'] !== etag
  const range = stale || !ranges ? undefined : askedRange(request.headers.range, size)
  response.setHeader('ETag', etag)
  response.setHeader('Accept-Ranges', ranges ? 'bytes' : 'none')
  response.setHeader('Content-Type', 'application/octet-stream')
  if (range === null) {
    response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end()
    return
  }
  const [first, last] = range ?? [0, size - 1]
  if (range !== undefined) response.setHeader('Content-Range', `bytes ${first}-${last}/${size}`)
  response.writeHead(range === undefined ? 200 : 206, { 'Content-Length': last - first + 1 })
  if (request.method === 'HEAD' || size === 0) {
    response.end()
    return
  }
  const cut = last - first + 1 > cutAfter
  const file = createReadStream(path, {
    start: first,
    end: cut ? first + cutAfter - 1 : last,
    highWaterMark: rate === undefined ? 1024 * 1024 : 16 * 1024,
  })
  const options = { end: !cut }
  if (rate === undefined) await pipeline(file, response, options)
  else await pipeline(file, throttle(rate), response, options)
  if (cut) response.socket?.end(() => response.destroy())
}

/** Serves the files under their base names. */
export async function imageServer(paths: string[], options: ServeOptions = {}): Promise<ImageServer> {
  const files = new Map(paths.map((path) => [`/${encodeURIComponent(basename(path))}`, path]))
  const server = createServer((request, response) => {
    const path = files.get(new URL(request.url ?? '/', 'http://loopback').pathname)
    if (path === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'Content-Length': 0 }).end()
      return
    }
    // The client going away ends the transfer; there is nobody to tell.
    serveFile(path, request, response, options).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    urlOf: (path) => `${url}/${encodeURIComponent(basename(path))}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rate: { type: 'string' } },
  })
  const server = await imageServer(
    positionals,
    values.rate === undefined ? {} : { rate: Number(values.rate) },
  )
  console.log(`listening ${server.url}`)
}
