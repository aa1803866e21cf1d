import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

/** What becomes of a packet: it goes on as it is returned, whenever that is; null: it is lost. */
export type Pass = (packet: Buffer, from: 'client' | 'bmc') => Buffer | null | Promise<Buffer | null>

/** Stands between ipmitool and a BMC on loopback, to lose, delay and damage packets. */
export class UdpProxy {
  pass: Pass = (packet) => packet
  readonly #to: number
  readonly #front = createSocket('udp4')
  /** By the client's port. */
  readonly #backs = new Map<number, Socket>()

  /** @param to UDP port of the BMC. */
  constructor(to: number) {
    this.#to = to
  }

  /** Returns its UDP port. */
  async listen(): Promise<number> {
    this.#front.on('message', (packet, { port }) => {
      const back = this.#backs.get(port) ?? this.#back(port)
      void this.#carry(packet, 'client', (passed) => back.send(passed, this.#to, '127.0.0.1'))
    })
    this.#front.bind(0, '127.0.0.1')
    await once(this.#front, 'listening')
    return this.#front.address().port
  }

  close(): void {
    for (const socket of [this.#front, ...this.#backs.values()]) socket.close()
  }

  #back(client: number): Socket {
    const back = createSocket('udp4')
    back.on('message', (packet) => {
      void this.#carry(packet, 'bmc', (passed) => this.#front.send(passed, client, '127.0.0.1'))
    })
    // A BMC that is not there refuses packets.
    back.on('error', () => undefined)
    this.#backs.set(client, back)
    return back
  }

  async #carry(packet: Buffer, from: 'client' | 'bmc', send: (packet: Buffer) => void): Promise<void> {
    const passed = await this.pass(packet, from)
    if (passed !== null) send(passed)
  }
}
