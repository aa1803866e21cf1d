/** The promise's outcome, or the signal's reason when that aborts first: for what does not heed a signal by itself. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason as Error)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** The source's items until the signal aborts; then it ends, even while the source is silent. */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  const over = { done: true, value: undefined } as const
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), signal).catch((error: unknown) => {
        if (signal.aborted) return over
        throw error
      })
      if (next.done === true) return
      yield next.value
    }
  } finally {
    // Not awaited: a generator returns only after what it waits for.
    iterator.return?.().catch(() => undefined)
  }
}
