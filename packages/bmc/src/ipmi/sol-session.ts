import { type ConsoleSession } from '../bmc.ts'
import { SolEscape } from './escape.ts'
import { IpmiFailure } from './ipmi-failure.ts'
import { type SolProcess } from './sol-process.ts'

/** A serial console that is open. */
export class SolSession implements ConsoleSession {
  readonly output: AsyncIterable<Uint8Array>
  readonly #process: SolProcess
  readonly #escape = new SolEscape()
  #closing = false

  /** @param process It is ready. */
  constructor(process: SolProcess) {
    this.#process = process
    this.output = this.#read()
  }

  async write(input: Uint8Array): Promise<void> {
    const { stdin } = this.#process.child
    await new Promise<void>((resolve, reject) => {
      stdin.write(this.#escape.encode(input), (error) => {
        if (error) reject(new IpmiFailure(closed))
        else resolve()
      })
    })
  }

  async close(): Promise<void> {
    this.#closing = true
    await this.#process.end()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#process.child.stdout.iterator({ destroyOnReturn: false })
      const status = await this.#process.ended
      const failure = this.#closing ? null : this.#process.failure(status)
      if (failure !== null) throw failure
    } finally {
      await this.close()
    }
  }
}

const closed = {
  fault: 'unreachable',
  outcome: 'refused',
  retry: 'never',
  message: 'The serial console is closed.',
  remedy: 'Open it again.',
} as const
