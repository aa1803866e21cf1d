import { lookup } from 'node:dns/promises'
import { connect } from 'node:net'
import { pause } from '../backoff.ts'
import { sentenceOf } from '../log.ts'

/** How long one address may take to answer, in ms. */
const connectMs = 3000
const betweenMs = 200

/**
 * Tries until a TCP connection to the URL's host opens. null when it did; else, from `until` on (a monotonic time in ms), why it did not the last
 * time. Calls `onTry` with the same after each try that failed.
 */
export async function reach(
  url: string,
  until: number,
  signal: AbortSignal,
  onTry: (why: string) => void,
): Promise<string | null> {
  for (;;) {
    const why = await connectTo(url)
    if (why === null) return null
    onTry(why)
    if (performance.now() > until) return why
    await pause(betweenMs, signal)
  }
}

async function connectTo(url: string): Promise<string | null> {
  const { hostname, port } = new URL(url)
  try {
    // Waited for to its end: look-ups that are given up still take a thread of the few that there are.
    const addresses = await lookup(hostname.replace(/^\[(.*)\]$/, '$1'), { all: true })
    let why = 'there is no address'
    for (const { address } of addresses) {
      const failure = await opens(address, port === '' ? 443 : Number(port))
      if (failure === null) return null
      why = failure
    }
    return why
  } catch (error) {
    return sentenceOf(error)
  }
}

/** Whether a TCP connection opens: null, or why not. */
export async function opens(host: string, port: number): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>()
  const socket = connect({ host, port, timeout: connectMs })
  socket.on('connect', () => resolve(null))
  socket.on('timeout', () => resolve(`${host} does not answer`))
  socket.on('error', (error) => resolve(sentenceOf(error)))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}
