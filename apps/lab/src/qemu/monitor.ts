import { EventEmitter } from 'node:events'
import { type Socket } from 'node:net'

interface Message {
  return?: unknown
  error?: { class: string; desc: string }
  event?: string
  data?: Record<string, unknown>
}

interface Pending {
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

/**
 * QEMU's machine protocol (QEMU documentation, "QEMU Machine Protocol Specification") on a connection that QEMU has made.
 * Emits `event` with the name and the data of each event, `end` when the connection is over.
 */
export class Monitor extends EventEmitter<{ event: [string, Record<string, unknown>]; end: [] }> {
  readonly #socket: Socket
  /** QEMU answers in the order of the commands. */
  readonly #pending: Pending[] = []

  private constructor(socket: Socket) {
    super()
    this.#socket = socket
    let rest = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#take(JSON.parse(line) as Message)
    })
    // A broken connection is an end like any other.
    socket.on('error', () => undefined)
    socket.once('close', () => this.#end())
  }

  /** The first command that QEMU takes leaves its mode of negotiation. */
  static async open(socket: Socket): Promise<Monitor> {
    const monitor = new Monitor(socket)
    await monitor.execute('qmp_capabilities')
    return monitor
  }

  /** @throws {Error} with QEMU's own words, or when the connection ends first. */
  async execute(command: string): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new Error('QEMU has ended.'))
        return
      }
      this.#pending.push({ resolve, reject })
      this.#socket.write(`${JSON.stringify({ execute: command })}\n`)
    })
  }

  #take(message: Message): void {
    if (message.event !== undefined) this.emit('event', message.event, message.data ?? {})
    else if (message.error !== undefined) this.#pending.shift()?.reject(new Error(message.error.desc))
    // The greeting is neither event nor answer.
    else if ('return' in message) this.#pending.shift()?.resolve(message.return)
  }

  #end(): void {
    for (const { reject } of this.#pending.splice(0)) reject(new Error('QEMU has ended.'))
    this.emit('end')
  }
}
