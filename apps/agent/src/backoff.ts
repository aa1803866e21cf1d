import { setTimeout as sleep } from 'node:timers/promises'

const firstMs = 200
const longestMs = 5000

/**
 * Waits of 200 ms, doubling up to 5 s, each shortened by up to a third at random so that a rack of agents that lost the
 * control plane together does not come back together. Rejects with the signal's reason when it aborts.
 */
export function backoff(signal: AbortSignal): (atLeastMs?: number) => Promise<void> {
  let next = firstMs
  return async (atLeastMs = 0) => {
    const jittered = next * (1 - Math.random() / 3)
    next = Math.min(next * 2, longestMs)
    await pause(Math.max(jittered, Math.min(atLeastMs, longestMs)), signal)
  }
}

/** Sleeps for `ms`; rejects with the signal's own reason, not with an AbortError around it. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}
