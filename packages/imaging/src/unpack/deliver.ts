import type { ByteSink } from '../source/source.ts'

/** Hands all of `bytes` to the sink as it has room; rejects as `reserve` does. */
export async function deliver(bytes: Uint8Array, sink: ByteSink): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const memory = await sink.reserve()
    const length = Math.min(memory.length, bytes.length - at)
    memory.set(bytes.subarray(at, at + length))
    sink.commit(length)
    at += length
  }
}
