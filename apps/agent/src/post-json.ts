import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'

/** Longest answer that is read, in bytes: an order with 64 KiB of user data and long headers fits several times. */
const longestAnswer = 4 * 1024 * 1024
/**
 * Longest exchange, in ms. It also bounds the age of a permit: the control plane waits three times as long for a publish
 * that has one, before it takes a cancel for done.
 */
const exchangeMs = 10_000

export interface Answer {
  status: number
  /** From Retry-After, in ms; 0 when it is absent or a date. */
  retryAfterMs: number
  text: string
}

/** One connection to the control plane, kept alive, that trusts `caPem` and no other authority. */
export interface Connection {
  /** Resolves with any HTTP answer; rejects when there is none in time, and never resolves with an older one. */
  post(path: string, headers: Record<string, string>, body: string, signal: AbortSignal): Promise<Answer>
  close(): void
}

export function connectTo(controlUrl: string, caPem: string, withinMs: number = exchangeMs): Connection {
  const agent = new Agent({ ca: caPem, keepAlive: true, maxSockets: 1, minVersion: 'TLSv1.2' })
  return {
    post: (path, headers, body, signal) =>
      post(agent, new URL(path, controlUrl), headers, body, signal, withinMs),
    close: () => agent.destroy(),
  }
}

function post(
  agent: Agent,
  url: URL,
  headers: Record<string, string>,
  body: string,
  signal: AbortSignal,
  withinMs: number,
): Promise<Answer> {
  const payload = Buffer.from(body)
  const allHeaders = {
    'content-type': 'application/json',
    'content-length': String(payload.length),
    ...headers,
  }
  const sentAt = performance.now()
  const late = () => new Error(`No answer within ${withinMs / 1000} s.`)
  // Covers the whole exchange: a peer that trickles bytes must not hold an answer open for ever.
  const within = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(within.aborted && !signal.aborted ? late() : error)
    const call = request(url, { method: 'POST', agent, headers: allHeaders, signal: within }, (response) => {
      readAnswer(response, (answer) => {
        // The timer alone does not see to it: after a stop of the whole process, sockets may be read before timers run.
        if (performance.now() - sentAt > withinMs) reject(late())
        else resolve(answer)
      })
      response.on('error', fail)
    })
    call.on('error', fail)
    call.end(payload)
  })
}

function readAnswer(response: IncomingMessage, done: (answer: Answer) => void): void {
  const chunks: Buffer[] = []
  let length = 0
  response.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > longestAnswer) response.destroy(new Error('The answer is too long.'))
    else chunks.push(chunk)
  })
  response.on('end', () => {
    const seconds = Number(response.headers['retry-after'])
    const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0
    done({ status: response.statusCode ?? 0, retryAfterMs, text: Buffer.concat(chunks).toString('utf8') })
  })
}
