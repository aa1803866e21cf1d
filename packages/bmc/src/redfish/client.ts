import { type BmcError } from '../bmc.ts'
import { type Timekeeper } from '../clock.ts'
import { type Answer, etagOf, isUnmatched, needsMatch, retryAfter } from './answer.ts'
import { type Ask, askOf, localPath } from './ask.ts'
import { Budget } from './budget.ts'
import { type Clean, cleaner, type Kind, kindOf, refusal } from './errors.ts'
import { type Json } from './json.ts'
import { patchWithEtag } from './patch.ts'
import { type Account, Session } from './session.ts'
import { type Peer } from './connection.ts'
import { garbled, type WireRequest } from './wire.ts'

/** A resource as it was read. */
export interface Resource {
  path: string
  json: Json
  etag: string | null
}

/** What is repeated, and after how many ms where the BMC names no time. A write that broke may have been done. */
const reads: Patience = { kinds: ['busy', 'broken'], againMs: 3000 }
const writes: Patience = { kinds: ['busy'], againMs: 10_000 }

interface Patience {
  kinds: readonly Kind[]
  againMs: number
}

/** How long one request is repeated while the BMC says that it cannot now. */
const busyMs = 60_000

export interface SendOptions {
  /** ms that the BMC may take for its answer. */
  timeoutMs?: number
  /** The caller looks for itself before it repeats what the BMC could not do now. */
  once?: boolean
  ifMatch?: string
}

/** Talks with one BMC as one account. Methods throw `BmcError`. */
export class Client {
  readonly clean: Clean
  readonly #peer: Peer
  readonly #ask: Ask
  readonly #session: Session
  #root: Json | null = null

  constructor(peer: Peer, account: Account) {
    this.#peer = peer
    this.#ask = askOf(peer)
    this.clean = cleaner([account.password])
    this.#session = new Session(this.#ask, peer, account, this.clean)
  }

  /** The service root, which is read without logging in. */
  async root(budget: Budget): Promise<Json> {
    if (this.#root === null) {
      const request = { method: 'GET', path: '/redfish/v1/', headers: {} } as const
      const answer = await this.#patiently(budget, reads, () => this.#ask(request, budget))
      this.#root = this.#read('/redfish/v1/', answer).json
    }
    return this.#root
  }

  /** `reference`: an `@odata.id` of the BMC, or a path. */
  async get(reference: string, budget: Budget): Promise<Resource> {
    const path = localPath(this.#peer, reference)
    const answer = await this.find(path, budget)
    return this.#read(path, answer)
  }

  /** A GET whose status is for the caller to judge. */
  async find(reference: string, budget: Budget): Promise<Answer> {
    const path = localPath(this.#peer, reference)
    const read = (of: string) => this.#patiently(budget, reads, () => this.#send('GET', of, budget, {}))
    const answer = await read(path)
    // Some BMCs know their resources only with a slash at the end (MAAS redfish.py).
    return answer.status === 404 && !path.endsWith('/') ? await read(`${path}/`) : answer
  }

  /** Calls an action. Without parameters, too, a body is sent: iLO and iDRAC refuse an empty one. */
  async post(reference: string, body: Json, budget: Budget, options: SendOptions = {}): Promise<Answer> {
    const path = localPath(this.#peer, reference)
    const send = (more: SendOptions) => this.#send('POST', path, budget, { ...options, ...more }, body)
    const once = async () => {
      const answer = await send({})
      // No If-Match otherwise: iDRAC 10 answers 412 to it (gofish #510). Huawei and AMI want it (gofish #171).
      if (!needsMatch(answer)) return answer
      const owner = path.replace(/\/Actions\/.*/, '')
      return await send({ ifMatch: etagOf(await this.find(owner, budget)) ?? '*' })
    }
    return options.once === true ? await once() : await this.#patiently(budget, writes, once)
  }

  /** Changes properties of a resource, guarded by its ETag. `known`: as it was just read; else it is read first. */
  async patch(reference: string, body: Json, budget: Budget, known: Resource | null = null): Promise<Answer> {
    const path = localPath(this.#peer, reference)
    let etag = known === null ? undefined : known.etag
    const read = async () => {
      const fresh = etag === undefined ? etagOf(await this.find(path, budget)) : etag
      etag = undefined
      return fresh
    }
    const write = (ifMatch: string | null) =>
      this.#send('PATCH', path, budget, ifMatch === null ? {} : { ifMatch }, body)
    return await this.#patiently(budget, writes, () => patchWithEtag({ read, write }))
  }

  async logout(clock: Timekeeper): Promise<void> {
    await this.#session.logout(new Budget(clock, 15_000, new AbortController().signal))
  }

  /** Repeats while the answer is that it cannot be done now. */
  async #patiently(budget: Budget, { kinds, againMs }: Patience, ask: () => Promise<Answer>) {
    const patience = budget.within(busyMs)
    for (;;) {
      const answer = await ask()
      if (answer.ok || isUnmatched(answer) || !kinds.includes(kindOf(answer))) return answer
      const wait = retryAfter(answer.headers, Date.now()) ?? againMs
      if (!(await patience.pause(Math.max(wait, 1000)))) return answer
    }
  }

  /** Logged in. A session that has ended is replaced once. */
  async #send(
    method: WireRequest['method'],
    path: string,
    budget: Budget,
    { timeoutMs, ifMatch }: SendOptions,
    body?: Json,
  ): Promise<Answer> {
    const root = await this.root(budget)
    const send = async () => {
      const headers = {
        ...(await this.#session.headers(root, budget)),
        ...(ifMatch === undefined ? {} : { 'If-Match': ifMatch }),
      }
      const request = { method, path, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
      return await this.#ask(request, budget, timeoutMs)
    }
    const answer = await send()
    const again = answer.status === 401 && this.#session.expire() ? await send() : answer
    if (again.status === 401) throw refusal('refused the user or the password', again, this.clean)
    return again
  }

  /** `what` goes on from "What it answered". */
  garbled(what: string): BmcError {
    return garbled(this.#peer, what, 'refused')
  }

  #read(path: string, answer: Answer): Resource {
    if (!answer.ok) throw refusal(`did not show ${this.clean(path)}`, answer, this.clean)
    if (answer.json === null) throw this.garbled(answer.garbled ?? 'is empty')
    return { path, json: answer.json, etag: etagOf(answer) }
  }
}
