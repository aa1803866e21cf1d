import { createWriteStream, type WriteStream } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

/** Bytes that may wait for a listener before it is dropped: the server itself is never held up. */
const maxWaiting = 4 * 1024 * 1024

/**
 * The serial line of a server, which stays while the server is turned off and on: everything that it says is appended to a log and
 * sent to whoever is connected, and what they send goes to the server.
 */
export class SerialLine {
  /** TCP port on loopback that the machine connects to at each start. */
  readonly machinePort: number
  readonly #log: WriteStream
  readonly #servers: Server[]
  readonly #listeners = new Set<Socket>()
  #machine: Socket | null = null

  private constructor(logPath: string, machine: Server, listeners: Server) {
    this.#log = createWriteStream(logPath, { flags: 'a', mode: 0o600 })
    this.#servers = [machine, listeners]
    machine.on('connection', (socket) => this.#connectMachine(socket))
    listeners.on('connection', (socket) => this.#connectListener(socket))
    this.machinePort = (machine.address() as AddressInfo).port
  }

  /**
   * @param port TCP port on loopback for listeners, such as the BMC's serial over LAN.
   * @throws {Error} when the port is taken.
   */
  static async open(port: number, logPath: string): Promise<SerialLine> {
    return new SerialLine(logPath, await listen(0), await listen(port))
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close()
    for (const socket of this.#listeners) socket.destroy()
    this.#machine?.destroy()
    await new Promise<void>((resolve) => this.#log.end(() => resolve()))
  }

  #connectMachine(socket: Socket): void {
    this.#machine = socket
    socket.on('data', (chunk: Buffer) => this.#hear(chunk))
    // QEMU may end without a word.
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

async function listen(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(port, '127.0.0.1', resolve),
  )
  return server
}
