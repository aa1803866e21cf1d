import { createWriteStream, type WriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'

/** Bytes that may wait for a listener before it is dropped: the server itself is never held up. */
const maxWaiting = 4 * 1024 * 1024

/**
 * The serial line of a server, which stays while the server is turned off and on: everything that it says is appended to a log and
 * sent to whoever is connected, and what they send goes to the server.
 */
export class SerialLine {
  readonly #log: WriteStream
  readonly #servers: Server[] = []
  readonly #listeners = new Set<Socket>()
  #machine: Socket | null = null

  private constructor(logPath: string) {
    this.#log = createWriteStream(logPath, { flags: 'a', mode: 0o600 })
  }

  /**
   * @param machinePath Unix socket that QEMU connects to at each start.
   * @param port TCP port on loopback for listeners, such as the BMC's serial over LAN.
   */
  static async open(machinePath: string, port: number, logPath: string): Promise<SerialLine> {
    const line = new SerialLine(logPath)
    await rm(machinePath, { force: true })
    await line.#listen({ path: machinePath }, (socket) => line.#connectMachine(socket))
    await line.#listen({ host: '127.0.0.1', port }, (socket) => line.#connectListener(socket))
    return line
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close()
    for (const socket of this.#listeners) socket.destroy()
    this.#machine?.destroy()
    await new Promise<void>((resolve) => this.#log.end(() => resolve()))
  }

  async #listen(
    address: { path: string } | { host: string; port: number },
    onConnection: (socket: Socket) => void,
  ): Promise<void> {
    const server = createServer(onConnection)
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(address, resolve))
    this.#servers.push(server)
  }

  #connectMachine(socket: Socket): void {
    this.#machine = socket
    socket.on('data', (chunk: Buffer) => this.#hear(chunk))
    // QEMU ends without a word when the power is cut.
    socket.on('error', () => undefined)
    socket.once('close', () => {
      if (this.#machine === socket) this.#machine = null
    })
  }

  #connectListener(socket: Socket): void {
    this.#listeners.add(socket)
    socket.on('data', (chunk: Buffer) => this.#machine?.write(chunk))
    socket.on('error', () => undefined)
    socket.once('close', () => this.#listeners.delete(socket))
  }

  #hear(chunk: Buffer): void {
    this.#log.write(chunk)
    for (const socket of this.#listeners) {
      if (socket.writableLength > maxWaiting) socket.destroy()
      else socket.write(chunk)
    }
  }
}
