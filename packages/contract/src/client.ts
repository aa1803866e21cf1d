import { text } from 'node:stream/consumers'
import { type ByoiBody, type DeploymentBody } from './byoi-request.types.ts'
import { type DeploymentView } from './deployment-view.ts'
import {
  type HoldDecision,
  type KeyAnswer,
  type NetbootAnswer,
  type NewKeyAnswer,
  type NewKeyBody,
  type NewServerBody,
  type NewSigningKeyBody,
  type ServerAnswer,
  type ServerChangeBody,
  type ServerCheck,
  type SigningKeyAnswer,
  type StartedAnswer,
} from './operator-api.ts'
import { type ByoiStatus, type DedicatedChange, type DedicatedServer } from './ovh-models.ts'
import { type SerialTicket, type SerialTicketBody } from './serial-protocol.ts'
import { ApiError, type Call, type ClientOptions, send, signedGet } from './signed-request.ts'
import { readEvents } from './server-sent-events.ts'

/** How many later stamps a change is signed with at most, where its signature was used already. */
const maxStamps = 30
/** How long calls wait that talk to a BMC, in ms: several questions of up to a minute each. */
const bmcTimeoutMs = 300_000

/** The API for programs of this project: signs as OVHcloud's clients do, errors as `ApiError`. */
export class ByoiClient {
  readonly #options: ClientOptions
  /** The server's clock minus ours, in seconds. */
  #clockSkew: Promise<number> | undefined
  #lastChange = 0

  constructor(options: ClientOptions) {
    this.#options = options
  }

  get<T>(path: string): Promise<T> {
    return this.#call<T>({ method: 'GET', path })
  }

  post<T>(path: string, body?: unknown): Promise<T> {
    return this.#call<T>({ method: 'POST', path, body })
  }

  put<T>(path: string, body: unknown): Promise<T> {
    return this.#call<T>({ method: 'PUT', path, body })
  }

  delete<T>(path: string): Promise<T> {
    return this.#call<T>({ method: 'DELETE', path })
  }

  /** UNIX seconds of the control plane; unsigned. */
  async time(): Promise<number> {
    return JSON.parse(await text(await send(this.#options, { method: 'GET', path: '/auth/time' }))) as number
  }

  servers(): Promise<string[]> {
    return this.get('/dedicated/server')
  }

  server(serviceName: string): Promise<DedicatedServer> {
    return this.get(server(serviceName))
  }

  /** Changes OVHcloud's writable properties; the others stay. */
  async changeServer(serviceName: string, change: DedicatedChange): Promise<void> {
    await this.put(server(serviceName), change)
  }

  async deploy(serviceName: string, body: ByoiBody): Promise<void> {
    await this.post(`${server(serviceName)}/bringYourOwnImage`, body)
  }

  /** As `deploy`, by the call that also takes checksum files and signatures. */
  startDeployment(serviceName: string, body: DeploymentBody): Promise<StartedAnswer> {
    return this.post(`${ofServer(serviceName)}/deployment`, body)
  }

  status(serviceName: string): Promise<ByoiStatus> {
    return this.get(`${server(serviceName)}/bringYourOwnImage`)
  }

  /** Forgets the deployment and puts the server into rescue. */
  async forget(serviceName: string): Promise<void> {
    await this.delete(`${server(serviceName)}/bringYourOwnImage`)
  }

  /** Puts the server into rescue; its deployment, if it had one, is kept. */
  rescue(serviceName: string): Promise<StartedAnswer> {
    return this.post(`${ofServer(serviceName)}/rescue`)
  }

  /** The rescue that the server is in or on its way to; `ApiError` 404 when it is in none. */
  currentRescue(serviceName: string): Promise<DeploymentView> {
    return this.get(`${ofServer(serviceName)}/rescue`)
  }

  /** The server's newest deployment; `ApiError` 404 when there is none. */
  deployment(serviceName: string): Promise<DeploymentView> {
    return this.get(`${ofServer(serviceName)}/deployment`)
  }

  deploymentById(id: string): Promise<DeploymentView> {
    return this.get(`/byoi/deployment/${encodeURIComponent(id)}`)
  }

  /**
   * A deployment's events from `after` on (0: from the present state), until it has ended. Throws `ApiError` when the
   * connection is lost: the caller may call again with the last event's id.
   */
  async *events(
    id: string,
    options: { after?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<{ id: number; view: DeploymentView }> {
    const answer = await this.#send({
      method: 'GET',
      path: `/byoi/deployment/${encodeURIComponent(id)}/events`,
      headers: { Accept: 'text/event-stream', 'Last-Event-ID': String(options.after ?? 0) },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    try {
      for await (const event of readEvents(answer)) {
        yield { id: Number(event.id), view: JSON.parse(event.data) as DeploymentView }
      }
    } catch (cause) {
      throw new ApiError('The event stream broke off.', { status: 0, cause })
    } finally {
      answer.destroy()
    }
  }

  /**
   * What the server's serial console showed during a deployment: its bytes, or with `plain` what they say, in UTF-8 and without
   * control sequences. `from`: position in bytes, counted from the end when negative.
   */
  async serialRecording(
    id: string,
    options: { from?: number; plain?: boolean } = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const query = options.from === undefined ? '' : `?from=${options.from}`
    return await this.#send({
      method: 'GET',
      path: `/byoi/deployment/${encodeURIComponent(id)}/serial${query}`,
      headers: { Accept: options.plain ? 'text/plain' : 'application/octet-stream' },
    })
  }

  /** How a WebSocket client opens a server's serial console; see serial-protocol.ts. `after`: a position that it was told. */
  async serialSocket(
    serviceName: string,
    options: { readonly?: boolean; after?: number } = {},
  ): Promise<{ url: string; headers: Record<string, string>; ca: string | undefined }> {
    const query = [
      ...(options.readonly ? ['readonly'] : []),
      ...(options.after === undefined ? [] : [`after=${options.after}`]),
    ].join('&')
    const path = `/byoi/server/${encodeURIComponent(serviceName)}/serial${query && `?${query}`}`
    const now = Math.floor(Date.now() / 1000) + (await this.#readClockSkew())
    const { url, headers } = signedGet(this.#options, path, now)
    return { url: url.replace(/^http/, 'ws'), headers, ca: this.#options.ca }
  }

  /** With which a browser opens it, once and soon. */
  serialTicket(serviceName: string, body: SerialTicketBody = {}): Promise<SerialTicket> {
    return this.post(`/byoi/server/${encodeURIComponent(serviceName)}/serial/ticket`, body)
  }

  async resolveHold(id: string, decision: HoldDecision): Promise<void> {
    await this.post(`/byoi/deployment/${encodeURIComponent(id)}/resolve`, { decision })
  }

  /** Tries the server's BMC before anything is stored. */
  async addServer(body: NewServerBody): Promise<void> {
    await this.#call({ method: 'POST', path: '/byoi/server', body, timeoutMs: bmcTimeoutMs })
  }

  async setServer(serviceName: string, body: ServerChangeBody): Promise<void> {
    await this.#call({ method: 'PUT', path: ofServer(serviceName), body, timeoutMs: bmcTimeoutMs })
  }

  listServers(): Promise<ServerAnswer[]> {
    return this.get('/byoi/server')
  }

  showServer(serviceName: string): Promise<ServerAnswer> {
    return this.get(ofServer(serviceName))
  }

  /** Asks the server's BMC; changes nothing. */
  checkServer(serviceName: string): Promise<ServerCheck> {
    const path = `${ofServer(serviceName)}/check`
    return this.#call({ method: 'POST', path, timeoutMs: bmcTimeoutMs })
  }

  /** Starts the agent on the server to tell what it is. */
  inspectServer(serviceName: string): Promise<StartedAnswer> {
    return this.post(`${ofServer(serviceName)}/inspect`)
  }

  netboot(): Promise<NetbootAnswer> {
    return this.get('/byoi/netboot')
  }

  async removeServer(serviceName: string): Promise<void> {
    await this.delete(ofServer(serviceName))
  }

  createKey(body: NewKeyBody): Promise<NewKeyAnswer> {
    return this.post('/byoi/key', body)
  }

  listKeys(): Promise<KeyAnswer[]> {
    return this.get('/byoi/key')
  }

  async revokeKey(applicationKey: string): Promise<void> {
    await this.delete(`/byoi/key/${encodeURIComponent(applicationKey)}`)
  }

  /** Registers a public key of the account, for `keyNames` of its deployments. */
  addSigningKey(body: NewSigningKeyBody): Promise<SigningKeyAnswer> {
    return this.post('/byoi/signingKey', body)
  }

  signingKeys(): Promise<SigningKeyAnswer[]> {
    return this.get('/byoi/signingKey')
  }

  async removeSigningKey(name: string): Promise<void> {
    await this.delete(`/byoi/signingKey/${encodeURIComponent(name)}`)
  }

  async #call<T>(call: Call): Promise<T> {
    const body = await text(await this.#send(call))
    return JSON.parse(body === '' ? 'null' : body) as T
  }

  async #send(call: Call): ReturnType<typeof send> {
    const now = Math.floor(Date.now() / 1000) + (await this.#readClockSkew())
    if (call.method === 'GET') return send(this.#options, { ...call, timestamp: now })
    for (let tries = 1; ; tries++) {
      try {
        return await send(this.#options, { ...call, timestamp: this.#stampChange(now) })
      } catch (error) {
        // Another process with this key said the same in the same second. What is refused so has done nothing.
        const repeats = error instanceof ApiError && error.errorCode === 'QUERY_REPLAYED'
        if (!repeats || tries === maxStamps) throw error
      }
    }
  }

  /**
   * A signature is accepted once, and stamps are whole seconds: two equal changes within one second would have the same. So
   * a change is stamped later than the one before, as far as the server's window of five minutes allows.
   */
  #stampChange(now: number): number {
    this.#lastChange = Math.min(Math.max(now, this.#lastChange + 1), now + 240)
    return this.#lastChange
  }

  /** Asked once; a failure is not kept, so that the next call asks again. */
  #readClockSkew(): Promise<number> {
    this.#clockSkew ??= this.time()
      .then((seconds) => seconds - Math.floor(Date.now() / 1000))
      .catch((error: unknown) => {
        this.#clockSkew = undefined
        throw error
      })
    return this.#clockSkew
  }
}

const server = (serviceName: string): string => `/dedicated/server/${encodeURIComponent(serviceName)}`
const ofServer = (serviceName: string): string => `/byoi/server/${encodeURIComponent(serviceName)}`
