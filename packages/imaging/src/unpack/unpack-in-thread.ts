import { Worker } from 'node:worker_threads'
import { ImagingError, internalError } from '../error.ts'
import {
  type FromThread,
  Inbox,
  type ThreadPacking,
  type ThreadSetup,
  type ToThread,
} from './thread-messages.ts'

/** Where this module is part of a bundle, that of the thread lies beside it under this name. */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './unpack-thread.ts' : './unpack-thread.mjs',
  import.meta.url,
)

/** As `Unpack`, in a thread that ends with the iteration. One piece is made ahead. */
export async function* unpackInThread(
  packing: ThreadPacking,
  packed: AsyncIterable<Uint8Array>,
  ramBytes: number,
): AsyncGenerator<Uint8Array> {
  const { worker, inbox } = startThread({ packing, ramBytes })
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const answer = (message: ToThread) => worker.postMessage(message)
  const pieces = packed[Symbol.asyncIterator]()
  try {
    for (;;) {
      const said = await inbox.get()
      if (said instanceof Error) throw said
      if (said.kind === 'end') return
      if (said.kind === 'failure') throw new ImagingError(said.failure.code, said.failure)
      if (said.kind === 'more') {
        const { value, done } = await pieces.next()
        answer(done === true ? null : value.slice())
      } else {
        answer(null)
        yield said.bytes
      }
    }
  } finally {
    await worker.terminate()
  }
}

/** A thread with little memory of its own: tables, dictionaries and blocks are not counted in it. */
function startThread(workerData: ThreadSetup): { worker: Worker; inbox: Inbox<FromThread | Error> } {
  const resourceLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 }
  const worker = new Worker(entry, { workerData, resourceLimits })
  const inbox = new Inbox<FromThread | Error>()
  worker.on('message', (message: FromThread) => inbox.put(message))
  worker.on('error', (error) => inbox.put(internalError('The unpacking thread stopped', error)))
  return { worker, inbox }
}
