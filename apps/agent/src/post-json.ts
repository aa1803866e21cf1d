import { Agent, request } from 'node:https'

/** Longest answer that is read, in bytes: an order with 64 KiB of user data and long headers fits several times. */
const longestAnswer = 4 * 1024 * 1024
const patienceMs = 10_000

export interface Answer {
  status: number
  /** From Retry-After, in ms; 0 when it is absent or a date. */
  retryAfterMs: number
  text: string
}

/** One connection to the control plane, kept alive, that trusts `caPem` and no other authority. */
export interface Connection {
  /** Resolves with any HTTP answer; rejects when there is none within 10 s. */
  post(path: string, headers: Record<string, string>, body: string, signal: AbortSignal): Promise<Answer>
  close(): void
}

export function connectTo(controlUrl: string, caPem: string): Connection {
  const agent = new Agent({ ca: caPem, keepAlive: true, maxSockets: 1, minVersion: 'TLSv1.2' })
  return {
    post: (path, headers, body, signal) => post(agent, new URL(path, controlUrl), headers, body, signal),
    close: () => agent.destroy(),
  }
}

function post(agent: Agent, url: URL, headers: Record<string, string>, body: string, signal: AbortSignal) {
  const payload = Buffer.from(body)
  const allHeaders = {
    'content-type': 'application/json',
    'content-length': String(payload.length),
    ...headers,
  }
  // Covers the whole exchange: a peer that trickles bytes must not hold an answer open for ever.
  const within = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)])
  return new Promise<Answer>((resolve, reject) => {
    const call = request(url, { method: 'POST', agent, headers: allHeaders, signal: within }, (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > longestAnswer) response.destroy(new Error('The answer is too long.'))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        const seconds = Number(response.headers['retry-after'])
        const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({ status: response.statusCode ?? 0, retryAfterMs, text })
      })
    })
    call.on('error', (error) => {
      const timedOut = within.aborted && !signal.aborted
      reject(timedOut ? new Error(`No answer within ${patienceMs / 1000} s.`, { cause: error }) : error)
    })
    call.end(payload)
  })
}
