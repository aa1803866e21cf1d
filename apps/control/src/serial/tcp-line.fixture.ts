/** A serial line behind a TCP port, with room for one reader, for tests in which several processes want it. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type ConsoleSession, type SerialConsole } from '@byoi/bmc'

const sayEveryMs = 5

/** Says numbered lines to whoever came last; the one before is cut off, as a BMC does. */
export class TcpLine {
  /** Process that reads now; 0: none. */
  reader = 0
  readonly port: number
  readonly #server: ReturnType<typeof createServer>
  readonly #timer: NodeJS.Timeout
  #socket: Socket | null = null
  #said = 0

  static async listen(): Promise<TcpLine> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TcpLine(server)
  }

  constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (socket) => {
      socket.on('error', () => socket.destroy())
      socket.once('data', (pid) => {
        this.#socket?.destroy()
        this.#socket = socket
        this.reader = Number(pid.toString())
      })
    })
    this.#timer = setInterval(() => {
      if (this.#socket?.writable) this.#socket.write(`line ${(this.#said += 1)}\n`)
    }, sayEveryMs)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#socket?.destroy()
    this.#server.close()
  }
}

/** Reads such a line. */
export class TcpConsole implements SerialConsole {
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  async openConsole(signal: AbortSignal): Promise<ConsoleSession> {
    const socket = connect(this.#port, '127.0.0.1')
    await once(socket, 'connect', { signal })
    socket.write(String(process.pid))
    return {
      output: socket as AsyncIterable<Uint8Array>,
      write: async (input) => void socket.write(input),
      close: async () => void socket.destroy(),
    }
  }
}
