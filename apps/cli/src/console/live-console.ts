import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError, type ByoiClient, type SerialMessage } from '@byoi/contract'
import { openSerial, type SerialConnection } from './serial-connection.ts'

const firstPauseMs = 500
const longestPauseMs = 10_000

export interface LiveConsole {
  client: ByoiClient
  serviceName: string
  readonly: boolean
  /** Shows bytes of the console; resolves when more can be shown. */
  show: (bytes: Uint8Array) => Promise<void>
  /** Tells the user something that is not the console's: one sentence. */
  say: (sentence: string) => void
  /** Ends it. */
  signal: AbortSignal
}

/** One console over as many connections as it takes: a new one goes on where the one before broke off. */
export class LiveConnection {
  readonly #options: LiveConsole
  #connection: SerialConnection | null = null
  #after: number | undefined
  #state = ''
  #readonly = true

  constructor(options: LiveConsole) {
    this.#options = options
  }

  /** Keys that are typed while the connection is lost are dropped: they must not act later. */
  type(bytes: Uint8Array): void {
    if (!this.#readonly) this.#connection?.send(bytes)
  }

  /** Until the signal aborts. Throws `ApiError` when the API refuses. */
  async run(): Promise<void> {
    const { signal, say } = this.#options
    let pauseMs = firstPauseMs
    while (!signal.aborted) {
      const begun = performance.now()
      const failure = await this.#once()
      if (signal.aborted) return
      if (failure !== null && !isPassing(failure)) throw failure
      if (performance.now() - begun > longestPauseMs) pauseMs = firstPauseMs
      say(
        `The connection is lost${failure === null ? '' : ` (${failure.reason ?? failure.message})`}; keys are dropped until it is back.`,
      )
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
      pauseMs = Math.min(longestPauseMs, pauseMs * 2)
    }
  }

  /** One connection, to its end. Returns why there was none or why it ended. */
  async #once(): Promise<ApiError | null> {
    const { client, serviceName, readonly, show, signal } = this.#options
    try {
      const options = { readonly, after: this.#after }
      const connection = await openSerial(client, serviceName, options, { output: show, message: this.#hear })
      this.#connection = connection
      const close = () => connection.close()
      if (signal.aborted) close()
      signal.addEventListener('abort', close, { once: true })
      await connection.ended.finally(() => signal.removeEventListener('abort', close))
      return null
    } catch (error) {
      if (error instanceof ApiError) return error
      throw error
    } finally {
      this.#connection = null
      this.#readonly = true
      this.#state = ''
    }
  }

  readonly #hear = (message: SerialMessage): void => {
    const { say, readonly } = this.#options
    if (message.type === 'position') this.#after = message.after
    else if (message.type === 'missing') say(`${message.bytes} bytes are missing here.`)
    else if (message.type === 'hello') {
      this.#readonly = message.readonly
      if (message.readonly && !readonly) say('This key may look, but not type.')
    } else if (message.state !== this.#state) {
      this.#state = message.state
      say(sentences[message.state] + (message.message === null ? '' : ` ${message.message}`))
    }
  }
}

const sentences = {
  connecting: 'The console is being opened.',
  open: 'The console is open.',
  'in-use': 'The console is in use elsewhere.',
  failed: 'The console cannot be opened.',
} as const

/** No answer, too many calls or viewers, or a control plane that is starting again. */
const isPassing = ({ status }: ApiError): boolean => status === 0 || status === 429 || status >= 500
