import { once } from 'node:events'
import { type FastifyReply, type FastifyRequest } from 'fastify'
import { badRequest } from './api-failure.ts'
import { type Ports } from './ports.ts'
import { logAnswer, logFailure } from './request-log.ts'

/**
 * Answers with a deployment's events as server-sent events (WHATWG HTML, section 9.2) until it has ended or the client has
 * gone. `Last-Event-ID` resumes. A comment goes out every `heartbeatMs`, and with it the key is judged again: a revoked
 * key stops its open streams. `closing` aborts when the server is to stop: it would wait for open streams.
 */
export async function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: Ports,
  id: string,
  heartbeatMs: number,
  closing: AbortSignal,
): Promise<FastifyReply> {
  const after = lastEventId(request)
  reply.hijack()
  const { raw } = reply
  const gone = new AbortController()
  const signal = AbortSignal.any([gone.signal, closing])
  raw.once('close', () => gone.abort())
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'Content-Type': 'text/event-stream; charset=utf-8',
    'X-Accel-Buffering': 'no',
  })
  raw.flushHeaders()
  const consumerKey = String(request.headers['x-ovh-consumer'])
  const heartbeat = setInterval(() => {
    raw.write(': alive\n\n')
    isValid(ports, consumerKey).then(
      (valid) => valid || gone.abort(),
      () => gone.abort(),
    )
  }, heartbeatMs)
  try {
    for await (const event of ports.deployments.watch(id, after, signal)) {
      const text = `id: ${event.id}\nevent: deployment\ndata: ${JSON.stringify(event.view)}\n\n`
      // A reader that does not keep up gets the next event when it has read this one.
      if (!raw.write(text)) await once(raw, 'drain', { signal })
    }
  } catch (error) {
    // The head is out, so a failure can only break off; the client resumes where it was.
    if (!signal.aborted) logFailure(request, error)
  } finally {
    clearInterval(heartbeat)
    raw.end()
    logAnswer(request, reply)
  }
  return reply
}

const isValid = async ({ credentials }: Ports, consumerKey: string): Promise<boolean> =>
  (await credentials.findConsumer(consumerKey))?.state === 'validated'

function lastEventId(request: FastifyRequest): number {
  const value = request.headers['last-event-id'] ?? '0'
  if (typeof value === 'string' && /^[0-9]{1,15}$/.test(value)) return Number(value)
  throw badRequest(400, 'Last-Event-ID is no id of an event.')
}
