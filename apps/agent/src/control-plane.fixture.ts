/** A control plane for tests: real HTTPS with its own CA, and a judge of every message by the protocol's own words. */
import { execFileSync } from 'node:child_process'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, type ServerResponse } from 'node:http'
import { type Server, createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type BootMedium,
  type JoinRequest,
  JoinRequest as JoinSchema,
  type Order,
  type Report,
  PermitRequest,
  Report as ReportSchema,
  agentPaths,
  checkShape,
  joinText,
  signedText,
} from '@byoi/contract'

/** `drop`: the message takes effect, its answer is lost. A number: that status, and no effect. */
export type Verdict = 'yes' | 'drop' | number

export interface Heard {
  path: string
  sequence: number
  body: unknown
  /** The message was there before: same number, same text. */
  repeat: boolean
}

export const serverName = 'ns1.example.test'

export class TestControlPlane {
  readonly heard: Heard[] = []
  /** What was wrong with a message, one sentence each; every test ends with this empty. */
  readonly faults: string[] = []
  /** Decides about each message that arrives; `nth` counts from 1 by path. */
  judge: (path: string, nth: number, body: unknown) => Verdict | Promise<Verdict> = () => 'yes'
  order: Order
  /** What the lease says. */
  reportEveryMs = 20
  readonly directory = mkdtempSync(join(tmpdir(), 'byoi-agent-'))
  readonly #counts = new Map<string, number>()
  readonly #secret = Buffer.alloc(32, 7).toString('base64url')
  #publicKey = ''
  #newest = { sequence: 0, text: '' }
  #server: Server
  #port = 0

  constructor(order: Order) {
    this.order = order
    this.#server = this.#makeServer()
  }

  static async start(order: Order): Promise<TestControlPlane> {
    const plane = new TestControlPlane(order)
    await plane.listen()
    return plane
  }

  /** Serves again after `down`, on the same port. */
  async listen(): Promise<void> {
    this.#server = this.#makeServer()
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Refuses connections and breaks those that are open. */
  async down(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async stop(): Promise<void> {
    if (this.#server.listening) await this.down()
    rmSync(this.directory, { recursive: true })
  }

  /** Writes a boot medium and returns its path. */
  medium(changes: Partial<BootMedium> = {}): string {
    const medium: BootMedium = {
      controlUrl: `https://127.0.0.1:${this.#port}`,
      caPem: certificate().cert,
      server: serverName,
      epoch: this.order.epoch,
      secret: this.#secret,
      time: Math.floor(Date.now() / 1000),
      network: null,
      ...changes,
    }
    const path = join(this.directory, 'medium.json')
    writeFileSync(path, JSON.stringify(medium), { mode: 0o600 })
    return path
  }

  reports(): Report[] {
    return this.heard
      .filter((it) => it.path === agentPaths.report && !it.repeat)
      .map((it) => it.body as Report)
  }

  outcome(): Report['outcome'] {
    return this.reports().findLast((report) => report.outcome !== null)?.outcome ?? null
  }

  count(path: string): number {
    return this.#counts.get(path) ?? 0
  }

  #makeServer(): Server {
    return createServer({ ...certificate() }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.faults.push(String(error))
        response.destroy()
      })
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    } catch {
      return
    }
    const text = Buffer.concat(chunks).toString('utf8')
    const path = request.url ?? ''
    const nth = this.count(path) + 1
    this.#counts.set(path, nth)
    const body = JSON.parse(text) as unknown
    const verdict = await this.judge(path, nth, body)
    if (typeof verdict === 'number') {
      response.writeHead(verdict, { 'content-type': 'application/json' }).end('{}')
      return
    }
    const answer = this.#effect(path, request, text, body)
    if (verdict === 'drop') response.destroy()
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }

  #effect(path: string, request: IncomingMessage, text: string, body: unknown): object {
    if (path === agentPaths.join) return this.#join(body)
    const sequence = this.#checkSigned(path, request, text)
    const repeat = sequence === this.#newest.sequence
    this.#newest = { sequence, text }
    this.heard.push({ path, sequence, body, repeat })
    if (path === agentPaths.order) return this.order
    if (path === agentPaths.permit) return checkShape(PermitRequest, body, path)
    checkShape(ReportSchema, body, path)
    return { heard: sequence }
  }

  #join(body: unknown): object {
    const join: JoinRequest = checkShape(JoinSchema, body, agentPaths.join)
    if (this.#publicKey !== '' && this.#publicKey !== join.publicKey) this.faults.push('A second key joined.')
    this.#publicKey = join.publicKey
    const secretHash = createHash('sha256').update(this.#secret).digest('hex')
    if (!this.#signedBy(joinText(join.server, join.epoch, secretHash), join.proof))
      this.faults.push('The proof of the join is wrong.')
    this.heard.push({ path: agentPaths.join, sequence: 0, body, repeat: false })
    return { lease: 'lease-1', epoch: join.epoch, leaseMs: 600, reportEveryMs: this.reportEveryMs }
  }

  #checkSigned(path: string, request: IncomingMessage, text: string): number {
    const header = (name: string) => String(request.headers[name] ?? '')
    const sequence = Number(header('x-byoi-sequence'))
    const bodyHash = createHash('sha256').update(text).digest('hex')
    if (
      !this.#signedBy(
        signedText(path, header('x-byoi-lease'), sequence, bodyHash),
        header('x-byoi-signature'),
      )
    )
      this.faults.push(`The signature of message ${sequence} is wrong.`)
    if (header('x-byoi-lease') !== 'lease-1') this.faults.push('The lease is wrong.')
    if (sequence < this.#newest.sequence) this.faults.push(`Message ${sequence} came too late.`)
    if (sequence === this.#newest.sequence && text !== this.#newest.text)
      this.faults.push(`Message ${sequence} was sent again with another text.`)
    return sequence
  }

  #signedBy(text: string, signature: string): boolean {
    const x = Buffer.from(this.#publicKey, 'base64').toString('base64url')
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64'))
  }
}

let made: { key: string; cert: string } | undefined

/** A certificate for 127.0.0.1, and for 10.0.2.2 as which a guest of QEMU sees it, that is its own CA; made by OpenSSL once per process. */
function certificate(): { key: string; cert: string } {
  made ??= makeCertificate()
  return made
}

export function makeCertificate(): { key: string; cert: string } {
  const directory = mkdtempSync(join(tmpdir(), 'byoi-agent-ca-'))
  try {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
    const name = [
      '-subj',
      '/CN=control plane of a test',
      '-addext',
      'subjectAltName=IP:127.0.0.1,IP:10.0.2.2',
    ]
    execFileSync('openssl', ['req', ...kind, ...name, '-keyout', key, '-out', cert], { stdio: 'pipe' })
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
