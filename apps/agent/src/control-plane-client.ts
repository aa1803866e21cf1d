import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import {
  type BootMedium,
  type DiskFacts,
  type JoinAnswer,
  type JoinRequest,
  type MachineFacts,
  type Order,
  type Report,
  type ReportAnswer,
  agentPaths,
  agentProtocolVersion,
  joinText,
  signedText,
} from '@byoi/contract'
import { backoff } from './backoff.ts'
import { type Log, sentenceOf } from './log.ts'
import { type Answer, type Connection, connectTo } from './post-json.ts'

/** The control plane said that this agent is not, or no longer, wanted: write nothing more and stop. */
export class EpochOver extends Error {}

/** Nothing was heard from the control plane for as long as an agent waits. */
export class ControlPlaneLost extends Error {}

/** 409: the same question later may get another answer. */
class TryLater extends Error {
  readonly afterMs: number
  constructor(afterMs: number) {
    super('The control plane asks to try again later.')
    this.afterMs = afterMs
  }
}

/** The joined agent's side of the protocol. Every call may reject with `EpochOver`, `ControlPlaneLost` or the abort reason. */
export interface ControlPlane {
  readonly lease: JoinAnswer
  /** Waits while the control plane says 409. */
  order(): Promise<Order>
  /** Repeats the same message until it is heard. */
  report(report: Report): Promise<ReportAnswer>
  /** Resolves only when the control plane has said yes, just now, for this epoch. Waits while it says 409. */
  permit(): Promise<void>
  close(): void
}

export interface JoinOptions {
  medium: BootMedium
  disks: DiskFacts[]
  /** null on a file-backed server. */
  machine: MachineFacts | null
  release: string
  log: Log
  signal: AbortSignal
  /** How long to go on without any answer, in ms. */
  patienceMs: number
}

/**
 * Makes the agent's key pair, in RAM only, and joins the epoch of the boot medium. A join whose answer was lost is sent
 * again with the same key, which the control plane takes for the repeat that it is.
 */
export async function joinControlPlane(options: JoinOptions): Promise<ControlPlane> {
  const { medium } = options
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const text = joinText(medium.server, medium.epoch, sha256(medium.secret))
  const join: JoinRequest = {
    protocol: agentProtocolVersion,
    release: options.release,
    server: medium.server,
    epoch: medium.epoch,
    secret: medium.secret,
    publicKey: rawPublicKey(publicKey).toString('base64'),
    proof: sign(null, Buffer.from(text), privateKey).toString('base64'),
    disks: options.disks,
    machine: options.machine,
  }
  const connection = connectTo(medium.controlUrl, medium.caPem)
  try {
    const send = () => connection.post(agentPaths.join, {}, JSON.stringify(join), options.signal)
    const lease = (await unlessLater(() => untilAnswered(send, options), options.signal)) as JoinAnswer
    return joined(connection, lease, privateKey, options)
  } catch (error) {
    connection.close()
    throw error
  }
}

function joined(
  connection: Connection,
  lease: JoinAnswer,
  key: KeyObject,
  options: JoinOptions,
): ControlPlane {
  let sequence = 0
  let last: Promise<unknown> = Promise.resolve()

  /** One message at a time: a later number never overtakes an earlier one, and only the newest is ever repeated. */
  const send = (path: string, message: object): Promise<unknown> => {
    const result = last.then(() => {
      sequence += 1
      const body = JSON.stringify(message)
      const text = signedText(path, lease.lease, sequence, sha256(body))
      const headers = {
        'x-byoi-lease': lease.lease,
        'x-byoi-sequence': String(sequence),
        'x-byoi-signature': sign(null, Buffer.from(text), key).toString('base64'),
      }
      return untilAnswered(() => connection.post(path, headers, body, options.signal), options)
    })
    last = result.catch(() => undefined)
    return result
  }

  return {
    lease,
    order: async () => (await unlessLater(() => send(agentPaths.order, {}), options.signal)) as Order,
    report: async (report) =>
      (await unlessLater(() => send(agentPaths.report, report), options.signal)) as ReportAnswer,
    permit: async () => {
      await unlessLater(() => send(agentPaths.permit, { epoch: lease.epoch }), options.signal)
    },
    close: () => connection.close(),
  }
}

/** Asks again, as a new message, while the answer is 409. */
async function unlessLater<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const wait = backoff(signal)
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof TryLater)) throw error
      await wait(error.afterMs)
    }
  }
}

/** Repeats one message, byte for byte, until the control plane has answered it or patience ends. */
async function untilAnswered(
  send: () => Promise<Answer>,
  options: Pick<JoinOptions, 'log' | 'signal' | 'patienceMs'>,
): Promise<unknown> {
  const wait = backoff(options.signal)
  const since = performance.now()
  let said = ''
  for (;;) {
    let why: string
    let afterMs = 0
    try {
      const answer = await send()
      if (!isForNow(answer.status)) return meaningOf(answer)
      why = `it answered ${answer.status}`
      afterMs = answer.retryAfterMs
    } catch (error) {
      if (error instanceof EpochOver || error instanceof TryLater) throw error
      options.signal.throwIfAborted()
      why = sentenceOf(error)
    }
    // A long outage is one line, not one line per attempt.
    if (why !== said) options.log(`The control plane cannot be reached, trying on: ${why}`)
    said = why
    if (performance.now() - since > options.patienceMs)
      throw new ControlPlaneLost(`Nothing was heard from the control plane: ${why}`)
    await wait(afterMs)
  }
}

/** Answers that say nothing about the message itself. */
const isForNow = (status: number): boolean => status >= 500 || [408, 425, 429].includes(status)

function meaningOf(answer: Answer): unknown {
  if (answer.status === 200) return parsed(answer.text)
  if (answer.status === 409) throw new TryLater(answer.retryAfterMs)
  const why: Record<number, string> = {
    401: 'this is not the agent of the lease',
    410: 'the epoch is over',
    426: 'the release of this agent is too old',
  }
  throw new EpochOver(
    `The control plane answered ${answer.status}: ${why[answer.status] ?? 'it does not take this message'}.`,
  )
}

/** A parser's own message would quote the answer, and an order holds secrets. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new Error('Its answer is not JSON.')
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The 32 bytes of RFC 8032; Node gives them as the JWK's `x`. */
function rawPublicKey(key: KeyObject): Buffer {
  const { x } = key.export({ format: 'jwk' })
  if (x === undefined) throw new Error('The public key has no x.')
  return Buffer.from(x, 'base64url')
}
