import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'

/** Cipher suites by number: IPMI 2.0, table 22-20. `truncate`: bytes of an integrity code. */
export const suites = {
  0: { authentication: 0, integrity: 0, confidentiality: 0, hash: null, truncate: 0 },
  3: { authentication: 1, integrity: 1, confidentiality: 1, hash: 'sha1', truncate: 12 },
  17: { authentication: 3, integrity: 4, confidentiality: 1, hash: 'sha256', truncate: 16 },
} as const

export type SuiteNumber = keyof typeof suites

const ENCRYPTED = 0x80
const AUTHENTICATED = 0x40
const rmcpHeader = Buffer.from([0x06, 0x00, 0xff, 0x07])
const RMCP_PLUS = 0x06

export const payload = {
  ipmi: 0x00,
  openRequest: 0x10,
  openAnswer: 0x11,
  rakp1: 0x12,
  rakp2: 0x13,
  rakp3: 0x14,
  rakp4: 0x15,
}

/** A packet as IPMI 2.0 has it, section 13.6. */
export function packet(type: number, session: number, sequence: number, content: Buffer): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt8(RMCP_PLUS, 0)
  header.writeUInt8(type, 1)
  header.writeUInt32LE(session, 2)
  header.writeUInt32LE(sequence, 6)
  header.writeUInt16LE(content.length, 10)
  return Buffer.concat([rmcpHeader, header, content])
}

/** A session as the BMC has it. */
export class RmcpSession {
  readonly id = randomBytes(4).readUInt32LE()
  readonly suite: SuiteNumber
  /** Number of the session on the other side, 4 bytes. */
  readonly console: Buffer
  readonly #bmcRandom = randomBytes(16)
  readonly #guid = Buffer.alloc(16, 0xb1)
  readonly #password: string
  readonly #bmcKey: string
  #rakp1 = Buffer.alloc(0)
  #sequence = 0

  constructor(suite: SuiteNumber, console: Buffer, password: string, bmcKey = password) {
    this.suite = suite
    this.console = Buffer.from(console)
    this.#password = password
    this.#bmcKey = bmcKey
  }

  /** Section 13.21. */
  rakp2(rakp1: Buffer): Buffer {
    this.#rakp1 = Buffer.from(rakp1)
    const random = rakp1.subarray(8, 24)
    const role = rakp1.subarray(24, 25)
    const proof = this.#hmac(this.#password, [
      this.console,
      this.#own(),
      random,
      this.#bmcRandom,
      this.#guid,
      role,
      this.#name(),
    ])
    return Buffer.concat([
      rakp1.subarray(0, 1),
      Buffer.alloc(3),
      this.console,
      this.#bmcRandom,
      this.#guid,
      proof,
    ])
  }

  /** Section 13.23. */
  rakp4(rakp3: Buffer): Buffer {
    const proof = this.#hmac(this.#sik(), [this.#rakp1.subarray(8, 24), this.#own(), this.#guid])
    return Buffer.concat([rakp3.subarray(0, 1), Buffer.alloc(3), this.console, this.#cut(proof)])
  }

  /** The IPMI message in a packet of this session. */
  open(type: number, content: Buffer): Buffer {
    if ((type & ENCRYPTED) === 0) return content
    const decipher = createDecipheriv('aes-128-cbc', this.#key(2).subarray(0, 16), content.subarray(0, 16))
    decipher.setAutoPadding(false)
    const plain = Buffer.concat([decipher.update(content.subarray(16)), decipher.final()])
    return plain.subarray(0, plain.length - 1 - (plain.at(-1) ?? 0))
  }

  seal(message: Buffer): Buffer {
    this.#sequence++
    if (this.suite === 0) return packet(payload.ipmi, this.console.readUInt32LE(), this.#sequence, message)
    const padding = (15 - (message.length % 16) + 16) % 16
    const padded = Buffer.concat([
      message,
      Buffer.from(Array.from({ length: padding }, (_, i) => i + 1)),
      Buffer.from([padding]),
    ])
    const iv = randomBytes(16)
    const cipher = createCipheriv('aes-128-cbc', this.#key(2).subarray(0, 16), iv)
    cipher.setAutoPadding(false)
    const content = Buffer.concat([iv, cipher.update(padded), cipher.final()])
    const bare = packet(
      payload.ipmi | ENCRYPTED | AUTHENTICATED,
      this.console.readUInt32LE(),
      this.#sequence,
      content,
    )
    return this.#signed(bare)
  }

  #signed(bare: Buffer): Buffer {
    const padding = (4 - ((bare.length - rmcpHeader.length + 2) % 4)) % 4
    const trailer = Buffer.concat([Buffer.alloc(padding, 0xff), Buffer.from([padding, 0x07])])
    const whole = Buffer.concat([bare, trailer])
    return Buffer.concat([whole, this.#cut(this.#hmac(this.#key(1), [whole.subarray(rmcpHeader.length)]))])
  }

  #own(): Buffer {
    const own = Buffer.alloc(4)
    own.writeUInt32LE(this.id)
    return own
  }

  /** Length and name. */
  #name(): Buffer {
    return this.#rakp1.subarray(27)
  }

  /** Session integrity key. */
  #sik(): Buffer {
    const role = this.#rakp1.subarray(24, 25)
    return this.#hmac(this.#bmcKey, [this.#rakp1.subarray(8, 24), this.#bmcRandom, role, this.#name()])
  }

  /** Section 13.32: K1 is for integrity, K2 for encryption. */
  #key(number: 1 | 2): Buffer {
    return this.#hmac(this.#sik(), [Buffer.alloc(20, number)])
  }

  #hmac(key: string | Buffer, parts: Buffer[]): Buffer {
    const { hash } = suites[this.suite]
    return hash === null ? Buffer.alloc(0) : createHmac(hash, key).update(Buffer.concat(parts)).digest()
  }

  #cut(proof: Buffer): Buffer {
    return proof.subarray(0, suites[this.suite].truncate)
  }
}
