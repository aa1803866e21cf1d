import { parentPort, workerData } from 'node:worker_threads'
import { ImagingError } from '../error.ts'
import { type FromThread, Inbox, type ThreadSetup, type ToThread } from './thread-messages.ts'
import { unpackBzip2 } from './unpack-bzip2.ts'
import { unpackXz } from './unpack-xz.ts'

const { packing, ramBytes } = workerData as ThreadSetup
const unpack = { xz: unpackXz, bzip2: unpackBzip2 }[packing]
const inbox = new Inbox<ToThread>()
parentPort?.on('message', (message: ToThread) => inbox.put(message))

async function run(): Promise<void> {
  for await (const piece of unpack(packed(), ramBytes)) {
    // A copy where the piece is a part of a larger buffer, which would travel along.
    const bytes =
      piece.length === piece.buffer.byteLength ? (piece as Uint8Array<ArrayBuffer>) : piece.slice()
    say({ kind: 'piece', bytes }, [bytes.buffer])
    await inbox.get()
  }
}

async function* packed(): AsyncGenerator<Uint8Array> {
  for (;;) {
    say({ kind: 'more' })
    const bytes = await inbox.get()
    if (bytes === null) return
    yield bytes
  }
}

function say(message: FromThread, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer)
}

try {
  await run()
  say({ kind: 'end' })
} catch (error) {
  if (!(error instanceof ImagingError)) throw error
  const { code, cause, remedy } = error
  say({ kind: 'failure', failure: { code, cause, remedy } })
}
