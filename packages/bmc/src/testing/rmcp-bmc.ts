import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import { packet, payload, RmcpSession, type SuiteNumber, suites } from './rmcp-session.ts'

/** A request in a session. */
export interface IpmiRequest {
  netFn: number
  command: number
  data: Buffer
}

/** A completion code, or data after completion code 0; null: no answer. */
export type IpmiAnswer = number | Buffer | null

export interface RmcpBmcOptions {
  user: string
  password: string
  suites: SuiteNumber[]
  manufacturer: number
  /** Answers instead of the BMC; undefined lets the BMC answer. */
  answer?: (request: IpmiRequest) => IpmiAnswer | undefined
  /** Answers to the steps to a session with this status instead of its own: IPMI 2.0, table 13-15. null: no answer. */
  status?: Partial<Record<'open' | 'rakp2' | 'rakp4', number | null>>
  /** Whether the answer to a request is cut in half. */
  damages?: (request: IpmiRequest) => boolean
  /** Kg; without it the password stands in for it. */
  bmcKey?: string
}

const wrongAlgorithm = 0x04
const unknownName = 0x0d

/**
 * A BMC that speaks IPMI 2.0 on loopback, in this process, as far as ipmitool asks: what ipmi_sim cannot do, that is cipher
 * suite 17, a BMC without suite 0, boot flags that are kept whole, and every wrong answer.
 */
export class RmcpBmc {
  readonly options: RmcpBmcOptions
  power: 'on' | 'off' = 'off'
  /** Boot parameter 5, data bytes. */
  bootFlags = Buffer.alloc(5)
  /** Parameter 3 was written so that flags stay valid. */
  flagsKept = false
  /** Requests in sessions, in order, as `netFn command data` in hex. */
  readonly requests: string[] = []
  readonly #socket = createSocket('udp4')
  readonly #sessions = new Map<number, RmcpSession>()

  constructor(options: RmcpBmcOptions) {
    this.options = options
  }

  /** Returns its UDP port. */
  async listen(): Promise<number> {
    this.#socket.on('message', (message, from) => {
      const answer = message[4] === 0x06 ? this.#plus(message) : this.#presession(message)
      if (answer !== null) this.#send(answer, from)
    })
    this.#socket.bind(0, '127.0.0.1')
    await once(this.#socket, 'listening')
    return this.#socket.address().port
  }

  async close(): Promise<void> {
    this.#socket.close()
    await once(this.#socket, 'close')
  }

  #send(answer: Buffer, { port, address }: RemoteInfo): void {
    this.#socket.send(answer, port, address)
  }

  /** Get Channel Authentication Capabilities outside of sessions, in an IPMI 1.5 packet. */
  #presession(message: Buffer): Buffer | null {
    const answer = this.#ipmi(message.subarray(14))
    if (answer === null) return null
    return Buffer.concat([message.subarray(0, 13), Buffer.from([answer.length]), answer])
  }

  #plus(packetIn: Buffer): Buffer | null {
    const type = packetIn.readUInt8(5)
    const length = packetIn.readUInt16LE(14)
    const content = packetIn.subarray(16, 16 + length)
    if (type === payload.openRequest) return this.#openSession(content)
    const id =
      type === payload.rakp1 || type === payload.rakp3 ? content.readUInt32LE(4) : packetIn.readUInt32LE(6)
    const session = this.#sessions.get(id)
    if (session === undefined) return null
    if (type === payload.rakp1) return this.#rakp2(session, content)
    if (type === payload.rakp3) return this.#rakp4(session, content)
    const message = session.open(type, content)
    const answer = this.#ipmi(message)
    if (answer === null) return null
    const sealed = session.seal(answer)
    return this.options.damages?.(requestIn(message)) ? sealed.subarray(0, sealed.length / 2) : sealed
  }

  #openSession(request: Buffer): Buffer | null {
    const suite = this.options.suites.find((each) => {
      const { authentication, integrity, confidentiality } = suites[each]
      return request[12] === authentication && request[20] === integrity && request[28] === confidentiality
    })
    const [tag, consoleId] = [request.subarray(0, 1), request.subarray(4, 8)]
    const refused = this.#refusal(
      'open',
      suite === undefined ? wrongAlgorithm : 0,
      payload.openAnswer,
      tag,
      consoleId,
    )
    if (refused !== undefined || suite === undefined) return refused ?? null
    const session = new RmcpSession(suite, consoleId, this.options.password, this.options.bmcKey)
    this.#sessions.set(session.id, session)
    const own = Buffer.alloc(4)
    own.writeUInt32LE(session.id)
    const accepted = Buffer.concat([tag, Buffer.from([0, 4, 0]), consoleId, own, request.subarray(8, 32)])
    return packet(payload.openAnswer, 0, 0, accepted)
  }

  #rakp2(session: RmcpSession, rakp1: Buffer): Buffer | null {
    const name = rakp1.subarray(28, 28 + rakp1.readUInt8(27)).toString('latin1')
    const usual = name === this.options.user ? 0 : unknownName
    const refused = this.#refusal('rakp2', usual, payload.rakp2, rakp1.subarray(0, 1), session.console)
    return refused === undefined ? packet(payload.rakp2, 0, 0, session.rakp2(rakp1)) : refused
  }

  #rakp4(session: RmcpSession, rakp3: Buffer): Buffer | null {
    const refused = this.#refusal('rakp4', 0, payload.rakp4, rakp3.subarray(0, 1), session.console)
    return refused === undefined ? packet(payload.rakp4, 0, 0, session.rakp4(rakp3)) : refused
  }

  /** undefined: it goes on. null: no answer. */
  #refusal(
    step: 'open' | 'rakp2' | 'rakp4',
    usual: number,
    type: number,
    tag: Buffer,
    consoleId: Buffer,
  ): Buffer | null | undefined {
    const { [step]: status = usual } = this.options.status ?? {}
    if (status === 0) return undefined
    if (status === null) return null
    return packet(type, 0, 0, Buffer.concat([tag, Buffer.from([status, 0, 0]), consoleId]))
  }

  /** The answer to an IPMI message. */
  #ipmi(message: Buffer): Buffer | null {
    const [to = 0, netFnLun = 0, , from = 0, sequence = 0, command = 0] = message
    const answer = this.#answer(requestIn(message))
    if (answer === null) return null
    const head = Buffer.from([from, netFnLun | 0x04])
    const rest =
      typeof answer === 'number' ? Buffer.from([answer]) : Buffer.concat([Buffer.from([0]), answer])
    const body = Buffer.concat([Buffer.from([to, sequence, command]), rest])
    return Buffer.concat([head, Buffer.from([checksum(head)]), body, Buffer.from([checksum(body)])])
  }

  #answer(request: IpmiRequest): IpmiAnswer {
    const { netFn, command, data } = request
    this.requests.push(Buffer.from([netFn, command, ...data]).toString('hex'))
    const own = this.options.answer?.(request)
    if (own !== undefined) return own
    const known = commands[`${netFn}:${command}`]
    return known === undefined ? invalidCommand : known(this, data)
  }
}

/** An IPMI message, section 13.8. */
function requestIn(message: Buffer): IpmiRequest {
  const [, netFnLun = 0, , , , command = 0] = message
  return { netFn: netFnLun >> 2, command, data: message.subarray(6, -1) }
}

const invalidCommand = 0xc1
const invalidData = 0xcc
const none = Buffer.alloc(0)
const SESSION_LEVEL = 4

const checksum = (bytes: Buffer): number => -bytes.reduce((sum, each) => sum + each, 0) & 0xff

/** By network function and command: IPMI 2.0, appendix G. */
const commands: Record<string, (bmc: RmcpBmc, data: Buffer) => IpmiAnswer> = {
  // Get Channel Authentication Capabilities: IPMI 2.0, names but no name of zero length.
  '6:56': () => Buffer.from([1, 0x80, 0x04, 0x02, 0, 0, 0, 0]),
  // Set Session Privilege Level.
  '6:59': (_, [level = SESSION_LEVEL]) => Buffer.from([level]),
  // Close Session.
  '6:60': () => none,
  // Get Device ID.
  '6:1': ({ options: { manufacturer } }) => {
    const id = [manufacturer & 0xff, (manufacturer >> 8) & 0xff, manufacturer >> 16]
    return Buffer.from([0x20, 0x01, 0x02, 0x45, 0x02, 0xbf, ...id, 0x02, 0x0f, 0, 0, 0, 0])
  },
  // Get Chassis Status.
  '0:1': ({ power }) => Buffer.from([power === 'on' ? 0x21 : 0x20, 0, 0]),
  // Chassis Control.
  '0:2': (bmc, [action]) => {
    if (action !== 0 && action !== 1) return invalidData
    bmc.power = action === 1 ? 'on' : 'off'
    return none
  },
  // Set System Boot Options.
  '0:8': (bmc, [parameter, ...data]) => {
    if (parameter === 3) bmc.flagsKept = data[0] === 0x08
    else if (parameter === 5) bmc.bootFlags = Buffer.from(data)
    else return 0x80
    return none
  },
  // Get System Boot Options.
  '0:9': ({ bootFlags }, [parameter]) => (parameter === 5 ? Buffer.from([1, 5, ...bootFlags]) : 0x80),
  // Activate Payload, Deactivate Payload: no serial console.
  '6:72': () => 0x81,
  '6:73': () => 0x80,
}
