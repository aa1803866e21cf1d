import { BmcError } from '../bmc.ts'
import { type Answer } from './answer.ts'
import { type Ask, localPath } from './ask.ts'
import { type Budget } from './budget.ts'
import { type Clean, kindOf, refusal } from './errors.ts'
import { type Json, linkAt } from './json.ts'
import { type Peer } from './connection.ts'

export interface Account {
  user: string
  password: string
}

const root = '/redfish/v1/SessionService/Sessions'
const logoutMs = 10_000
/** A full session table empties as others' sessions end; iDRAC: sessions end by themselves after 20 to 30 minutes. */
const fullWaitMs = 30_000
const fullTries = 4

/**
 * Login to one BMC: a session (DSP0266, "Redfish session login authentication"), or HTTP Basic where there is no session
 * service. Basic is never tried after a refused password: each wrong one brings the account nearer to being locked.
 */
export class Session {
  readonly #ask: Ask
  readonly #peer: Peer
  readonly #account: Account
  readonly #clean: Clean
  #token: string | null = null
  #location: string | null = null
  #basic = false

  constructor(ask: Ask, peer: Peer, account: Account, clean: Clean) {
    this.#ask = ask
    this.#peer = peer
    this.#account = account
    this.#clean = clean
  }

  /** What a request sends to be let in; logs in first where needed. Throws `BmcError`. */
  async headers(root: Json, budget: Budget): Promise<Record<string, string>> {
    if (!this.#basic && this.#token === null) await this.#login(root, budget)
    return this.#token === null
      ? { Authorization: this.#basicAuthorization() }
      : { 'X-Auth-Token': this.#token }
  }

  /** After a 401: whether logging in again may help. BMCs drop sessions on their own, as when their web server restarts. */
  expire(): boolean {
    const wasSession = this.#token !== null
    this.#token = null
    this.#location = null
    return wasSession
  }

  /** Leaves no session behind: a few that leak fill the BMC's table. What it answers is no matter. */
  async logout(budget: Budget): Promise<void> {
    const [token, path] = [this.#token, this.#location]
    this.expire()
    if (token === null || path === null) return
    const request = { method: 'DELETE', path, headers: { 'X-Auth-Token': token } } as const
    await this.#ask(request, budget.within(logoutMs)).catch(() => undefined)
  }

  async #login(rootResource: Json, budget: Budget): Promise<void> {
    const listed = linkAt(rootResource, 'Links', 'Sessions')
    const path = listed === null ? root : localPath(this.#peer, listed)
    const { user, password } = this.#account
    const body = JSON.stringify({ UserName: user, Password: password })
    for (let tries = 1; ; tries++) {
      const answer = await this.#ask({ method: 'POST', path, headers: {}, body }, budget)
      if (answer.ok) return this.#begin(answer)
      if (hasNoSessions(answer, listed !== null)) {
        this.#basic = true
        return
      }
      const kind = kindOf(answer)
      const waits = kind === 'sessions-full' || kind === 'busy'
      if (!waits || tries === fullTries || !(await budget.pause(fullWaitMs))) {
        const what = kind === 'sessions-full' ? 'has no room for another session' : 'refused the login'
        throw refusal(what, answer, this.#clean)
      }
    }
  }

  #begin({ headers, json }: Answer): void {
    const token = headers['x-auth-token']
    if (typeof token !== 'string' || token === '') {
      throw new BmcError('The BMC accepted the login and gave no token.', {
        fault: 'garbled',
        outcome: 'refused',
        remedy: 'Update the firmware of the BMC.',
      })
    }
    this.#token = token
    const location = headers.location ?? linkAt(json)
    this.#location = location === null ? null : localPath(this.#peer, location)
  }

  #basicAuthorization(): string {
    const { user, password } = this.#account
    return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }
}

/** A root that lists sessions has them: a 401 there means the password. */
const hasNoSessions = ({ status }: Answer, listed: boolean): boolean =>
  status === 404 || status === 405 || status === 501 || status === 403 || (status === 401 && !listed)
