import { setTimeout as sleep } from 'node:timers/promises'
import { serialClose, type SerialMessage } from '@byoi/contract'
import { type RawData, type WebSocket } from 'ws'
import { type SerialEvent } from './ports.ts'

/** How fast is typed at most; more waits in the client. A line at 115,200 baud takes 11,520 bytes per second. */
const typedPerSecond = 16 * 1024
const typedAtOnce = 32 * 1024

export interface SerialSocket {
  socket: WebSocket
  /** What the viewer is told; read no faster than he reads. */
  events: (signal: AbortSignal) => AsyncIterable<SerialEvent>
  /** null: the viewer may not type. */
  type: ((input: Uint8Array) => Promise<void>) | null
  /** Judges the key again. */
  isStillAllowed: () => Promise<boolean>
  heartbeatMs: number
  /** Aborts when the server is to stop. */
  closing: AbortSignal
}

/** Serves one viewer until he, his key, or the server is gone. Throws what `events` throws, after closing. */
export async function serveSerial(options: SerialSocket): Promise<void> {
  const { socket, type, closing } = options
  const gone = new AbortController()
  socket.once('close', () => gone.abort())
  // A frame that is none, a reset connection: the close that follows ends it.
  socket.on('error', () => socket.terminate())
  const close = (code: number, reason: string) => closeSoon(socket, code, reason, gone)
  const stop = () => close(serialClose.goingAway, 'The control plane stops.')
  if (closing.aborted) stop()
  closing.addEventListener('abort', stop, { once: true })
  const alive = watchLife(options, gone.signal, close)
  takeInput(socket, type, close)
  try {
    const tell = async (message: SerialMessage) => await send(socket, JSON.stringify(message))
    await tell({ type: 'hello', readonly: type === null })
    for await (const event of options.events(gone.signal)) {
      if (event.kind === 'output') {
        await send(socket, event.data)
        await tell({ type: 'position', after: event.position })
      } else if (event.kind === 'missing') await tell({ type: 'missing', bytes: event.bytes })
      else await tell({ type: 'state', state: event.state, message: event.message })
      alive()
    }
  } catch (error) {
    if (gone.signal.aborted || socket.readyState !== socket.OPEN) return
    close(serialClose.internal, 'Connect again.')
    throw error
  } finally {
    closing.removeEventListener('abort', stop)
    gone.abort()
  }
}

/** Resolves when the bytes have left for the viewer's machine, so that a slow one is never sent more than he takes. */
const send = async (socket: WebSocket, data: string | Uint8Array): Promise<void> =>
  await new Promise((resolve, reject) => {
    socket.send(data, (error) => (error ? reject(error) : resolve()))
  })

/** Ends the viewing at once, and the connection when the viewer has heard of it, or a second later. */
function closeSoon(socket: WebSocket, code: number, reason: string, gone: AbortController): void {
  gone.abort()
  socket.close(code, reason)
  setTimeout(() => socket.terminate(), 1000).unref()
}

/**
 * Every heartbeat the key is judged again, and a viewer who gave no sign of life since the last one is cut off. Returns what is to
 * be called at a sign.
 */
function watchLife(
  { socket, isStillAllowed, heartbeatMs }: SerialSocket,
  gone: AbortSignal,
  close: (code: number, reason: string) => void,
): () => void {
  let heard = true
  const alive = () => {
    heard = true
  }
  socket.on('pong', alive)
  const beat = setInterval(() => {
    if (!heard) return socket.terminate()
    heard = false
    socket.ping()
    isStillAllowed().then(
      (allowed) => {
        if (!allowed) close(serialClose.policy, 'The key is not valid any more.')
      },
      () => close(serialClose.later, 'The key cannot be judged for now.'),
    )
  }, heartbeatMs)
  gone.addEventListener('abort', () => clearInterval(beat), { once: true })
  return alive
}

/** What comes is typed in its order; while it is, the client is not read. */
function takeInput(
  socket: WebSocket,
  type: SerialSocket['type'],
  close: (code: number, reason: string) => void,
): void {
  let typing = Promise.resolve()
  let freeAt = performance.now()
  socket.on('message', (data: RawData, isBinary: boolean) => {
    if (!isBinary) return close(serialClose.unsupported, 'Only binary frames are typed.')
    if (type === null) return close(serialClose.policy, 'This key may not type here.')
    // As ws gives them unless told otherwise.
    const bytes = data as Buffer
    socket.pause()
    typing = typing.then(async () => {
      try {
        await type(bytes)
        const now = performance.now()
        freeAt = Math.max(now, freeAt) + (bytes.length / typedPerSecond) * 1000
        await sleep(Math.max(0, freeAt - now - (typedAtOnce / typedPerSecond) * 1000))
        socket.resume()
      } catch {
        close(serialClose.later, 'What was typed did not arrive.')
      }
    })
  })
}
