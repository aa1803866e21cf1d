import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Clock } from '../bmc.ts'
import { type Exchange, Refusal } from './exchange.ts'

interface Session {
  id: string
  token: string
  /** ms of the clock. */
  lastUsed: number
}

const limit = 16
const idleMs = 30 * 60_000

const same = (a: string, b: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

/** Who may use the service: one account, by session (`X-Auth-Token`) or HTTP Basic (DSP0266, "Authentication"). */
export class Sessions {
  readonly #user: string
  #password: string
  readonly #clock: Clock
  #open: Session[] = []

  constructor(user: string, password: string, clock: Clock) {
    this.#user = user
    this.#password = password
    this.#clock = clock
  }

  /** As an operator changes it; sessions end. */
  changePassword(password: string): void {
    this.#password = password
    this.end()
  }

  /** As a restart of the BMC does. */
  end(): void {
    this.#open = []
  }

  ids(): string[] {
    this.#dropIdle()
    return this.#open.map(({ id }) => id)
  }

  /** Throws `Refusal`: 401 for a wrong password, 503 when the table is full. */
  create(user: unknown, password: unknown): { id: string; token: string } {
    if (typeof user !== 'string' || typeof password !== 'string' || !this.#matches(user, password)) {
      throw new Refusal(401, 'Base.1.18.ResourceAtUriUnauthorized', 'The user name or password is wrong.')
    }
    this.#dropIdle()
    if (this.#open.length >= limit) {
      throw new Refusal(503, 'Base.1.18.SessionLimitExceeded', 'The session limit is reached.')
    }
    const [id, token] = [randomBytes(6).toString('hex'), randomBytes(16).toString('hex')]
    this.#open.push({ id, token, lastUsed: this.#clock.now() })
    return { id, token }
  }

  delete(id: string): boolean {
    const before = this.#open.length
    this.#open = this.#open.filter((session) => session.id !== id)
    return this.#open.length < before
  }

  isAuthorized({ headers }: Exchange): boolean {
    this.#dropIdle()
    const token = headers['x-auth-token']
    if (token !== undefined) {
      const session = this.#open.find((each) => same(each.token, token))
      if (session !== undefined) session.lastUsed = this.#clock.now()
      return session !== undefined
    }
    const encoded = /^Basic (\S+)$/i.exec(headers['authorization'] ?? '')?.[1]
    if (encoded === undefined) return false
    const text = Buffer.from(encoded, 'base64').toString()
    const colon = text.indexOf(':')
    return colon >= 0 && this.#matches(text.slice(0, colon), text.slice(colon + 1))
  }

  #matches(user: string, password: string): boolean {
    const [userMatches, passwordMatches] = [same(user, this.#user), same(password, this.#password)]
    return userMatches && passwordMatches
  }

  #dropIdle(): void {
    const now = this.#clock.now()
    this.#open = this.#open.filter(({ lastUsed }) => now - lastUsed < idleMs)
  }
}
