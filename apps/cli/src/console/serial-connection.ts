import { text } from 'node:stream/consumers'
import {
  ApiError,
  type ByoiClient,
  readError,
  readSerialMessage,
  serialClose,
  type SerialMessage,
  serialProtocol,
} from '@byoi/contract'
import { WebSocket } from 'ws'

/** How long nothing may be heard; the control plane sends something at least every 15 seconds. */
const silenceMs = 45_000
const handshakeMs = 30_000

/** What a connection tells its user, in the order in which it came. */
export interface SerialListener {
  output(bytes: Uint8Array): Promise<void>
  message(message: SerialMessage): void
}

export interface SerialConnection {
  /** Types; what is sent while the connection is lost goes nowhere. */
  send(bytes: Uint8Array): void
  /** Resolves when the connection has ended and another one may follow; throws `ApiError` when none can. */
  readonly ended: Promise<void>
  close(): void
}

/** Opens a server's serial console. Throws `ApiError` when it is refused; its status is 0 when there was no answer. */
export async function openSerial(
  client: ByoiClient,
  serviceName: string,
  options: { readonly: boolean; after: number | undefined },
  listener: SerialListener,
): Promise<SerialConnection> {
  const { url, headers, ca } = await client.serialSocket(serviceName, {
    readonly: options.readonly,
    ...(options.after === undefined ? {} : { after: options.after }),
  })
  const socket = new WebSocket(url, [serialProtocol], {
    headers,
    handshakeTimeout: handshakeMs,
    perMessageDeflate: false,
    ...(ca === undefined ? {} : { ca }),
  })
  const ended = handle(socket, listener)
  // Whoever opens hears of a failure below; whoever uses it, by `ended`.
  ended.catch(() => undefined)
  await openedOrRefused(socket)
  return {
    ended,
    send: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes)
    },
    close: () => {
      socket.close(1000)
      setTimeout(() => socket.terminate(), 1000).unref()
    },
  }
}

const openedOrRefused = async (socket: WebSocket): Promise<void> =>
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', (cause) => reject(unreachable(cause)))
    socket.once('unexpected-response', (_request, answer) => {
      const { 'x-ovh-queryid': id } = answer.headers
      text(answer)
        .then(
          (body) => readError(answer.statusCode ?? 0, body, typeof id === 'string' ? id : null),
          unreachable,
        )
        .then((refusal) => {
          reject(refusal)
          socket.terminate()
        }, reject)
    })
  })

const closed = async (socket: WebSocket): Promise<{ code: number; reason: Buffer }> =>
  await new Promise((resolve) => socket.once('close', (code, reason) => resolve({ code, reason })))

const unreachable = (cause: Error): ApiError =>
  new ApiError('The API could not be reached.', {
    status: 0,
    reason: cause.message,
    remedy: 'Check the endpoint, the network and the certificate authority.',
    cause,
  })

/** Passes on what comes. Nothing is read ahead of the listener. */
async function handle(socket: WebSocket, listener: SerialListener): Promise<void> {
  let passing = Promise.resolve()
  let silence = setTimeout(() => socket.terminate(), silenceMs)
  const heard = () => {
    clearTimeout(silence)
    silence = setTimeout(() => socket.terminate(), silenceMs)
  }
  socket.on('ping', heard)
  socket.on('error', () => undefined)
  socket.on('message', (data, isBinary) => {
    heard()
    socket.pause()
    passing = passing.then(async () => {
      // As ws gives them unless told otherwise.
      const bytes = data as Buffer
      const message = isBinary ? null : readSerialMessage(bytes.toString())
      if (isBinary) await listener.output(bytes)
      else if (message !== null) listener.message(message)
      socket.resume()
    })
    passing.catch(() => socket.terminate())
  })
  const { code, reason } = await closed(socket)
  clearTimeout(silence)
  await passing
  if (code === serialClose.policy) {
    throw new ApiError('The console was closed.', {
      status: 403,
      reason: reason.toString(),
      remedy: 'Ask the operator for a key that has the right.',
    })
  }
}
