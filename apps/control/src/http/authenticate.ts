import { createHash, randomBytes } from 'node:crypto'
import { isGranted, type Json, parseStrictJson, StrictJsonError } from '@byoi/contract'
import { type FastifyReply, type FastifyRequest } from 'fastify'
import { ApiFailure, tooMany } from './api-failure.ts'
import { type HttpConfig } from './http-config.ts'
import { type Identity, notGranted } from './identity.ts'
import { type Consumer, type Ports } from './ports.ts'
import { RateLimit } from './rate-limit.ts'
import { invalidTicket, ticketOf } from './serial-ticket.ts'
import { candidateUrls, describeHashed, isSignatureRight, type SignedParts } from './signature-check.ts'

/** How far a timestamp may be from our clock, in seconds. */
const windowSeconds = 300
/** A signature stamped ahead of our clock stays in the window for twice as long; a margin for the replicas' clocks. */
const replayMs = (2 * windowSeconds + 60) * 1000
/** Hashed with where there is no such application, so that the answer takes as long. */
const noSecret = randomBytes(16).toString('hex')

interface Proof {
  identity: Omit<Identity, 'body'>
  /** null: it was a ticket. */
  signature: string | null
}

interface Authentication {
  /** Hook before the handler. */
  authenticate: (request: FastifyRequest) => Promise<void>
  /** Hook after the answer: what was carried out counts against the server's rate. */
  countChange: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
}

/**
 * OVHcloud's authentication, as a hook for signed routes: sets `request.identity` or throws what OVHcloud answers. In
 * order: key, time, consumer, signature, body's form, state, rule, rates, replay.
 */
export function createAuthentication(ports: Ports, config: HttpConfig): Authentication {
  const badSignatures = new RateLimit(config.rateLimits.badSignatures)
  const calls = new RateLimit(config.rateLimits.calls)
  const changes = new RateLimit(config.rateLimits.changes)

  const authenticate = async (request: FastifyRequest): Promise<void> => {
    if (request.is404 || request.routeOptions.config.anonymous === true) return
    const wait = badSignatures.wait(request.ip)
    if (wait > 0) throw tooMany(wait, 'There were too many failed authentications from this address.')
    const ticket = ticketOf(request)
    const proving = ticket === null ? prove(request, ports, config) : redeem(request, ticket, ports)
    const proof = await proving.catch((error: unknown) => {
      if (error instanceof ApiFailure && error.status < 500) badSignatures.take(request.ip)
      throw error
    })
    const body = readBody(request)
    const { caller } = proof.identity
    checkRights(request, proof.identity.consumer)
    limit(calls, caller.applicationKey, 'This key called too often.')
    const server = changedServer(request, caller.account)
    const pause = server === null ? 0 : changes.wait(server)
    if (pause > 0) throw tooMany(pause, 'This server was changed too often.')
    if (changesState(request) && proof.signature !== null) {
      await refuseReplay(proof.signature, caller.applicationKey, ports)
    }
    request.identity = { ...proof.identity, body }
  }
  const countChange = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const server = request.identity && changedServer(request, request.identity.caller.account)
    if (server && reply.statusCode < 300) changes.take(server)
  }
  return { authenticate, countChange }
}

/** Whose rate a change counts against; null for reads, and for calls that are about no server. */
function changedServer(request: FastifyRequest, account: string): string | null {
  const { serviceName } = request.params as { serviceName?: string }
  if (request.routeOptions.config.changesNothing === true) return null
  return changesState(request) && serviceName !== undefined ? `${account} ${serviceName}` : null
}

/** Finds out who calls. Throws 400, 401 or 403 in OVHcloud's words. */
async function prove(request: FastifyRequest, ports: Ports, config: HttpConfig): Promise<Proof> {
  checkQuery(request)
  const applicationKey = only(request, 'x-ovh-application')
  const timestamp = only(request, 'x-ovh-timestamp')
  const consumerKey = only(request, 'x-ovh-consumer')
  const signature = only(request, 'x-ovh-signature')
  if (signature === null || timestamp === null) throw loginFirst()
  if (applicationKey === null) throw invalidKey()
  if (consumerKey === null) throw noCredential()
  checkTime(timestamp)
  const [application, consumer] = await Promise.all([
    ports.credentials.findApplication(applicationKey),
    ports.credentials.findConsumer(consumerKey),
  ])
  const parts = signedParts(request, config, timestamp)
  const secret = application?.applicationSecret.reveal() ?? noSecret
  const right = isSignatureRight(signature, secret, consumerKey, parts)
  if (application === null) throw invalidKey()
  if (consumer === null || consumer.applicationKey !== application.applicationKey) throw noCredential()
  if (!right || !/^\$1\$[0-9a-f]{40}$/.test(signature)) throw invalidSignature(parts)
  return { identity: identify(request, application.applicationKey, consumer), signature }
}

function identify(request: FastifyRequest, applicationKey: string, consumer: Consumer) {
  const caller = {
    account: consumer.account,
    applicationKey,
    credentialId: consumer.credentialId,
    operator: consumer.operator,
    address: request.ip,
    queryId: request.id,
  }
  return { caller, consumer, readonly: false }
}

/** Finds out for whom a ticket was issued, and takes it. It is good for the server that it was issued for. */
async function redeem(request: FastifyRequest, ticket: string, ports: Ports): Promise<Proof> {
  checkQuery(request)
  const found = await ports.serial.takeTicket(ticket)
  const { serviceName } = request.params as { serviceName?: string }
  if (found === null || found.serviceName !== serviceName) throw invalidTicket()
  const consumer = await ports.credentials.findCredential(found.credentialId)
  if (consumer === null) throw invalidTicket()
  const identity = identify(request, consumer.applicationKey, consumer)
  return { identity: { ...identity, readonly: found.readonly }, signature: null }
}

/** The query is part of what is signed, and where a call has one, all of it is known. */
function checkQuery(request: FastifyRequest): void {
  const at = request.originalUrl.indexOf('?')
  const known = request.routeOptions.config.query
  if (at >= 0 && known?.test(request.originalUrl.slice(at + 1)) !== true) throw unknownQuery()
}

/** The one value of a header; null when it is absent, empty, doubled or no short printable text. */
function only(request: FastifyRequest, name: string): string | null {
  const values: string[] = []
  const { rawHeaders } = request.raw
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === name) values.push(rawHeaders[at + 1] ?? '')
  }
  const value = values.length === 1 ? values[0] : undefined
  return value !== undefined && /^[\x20-\x7e]{1,128}$/.test(value) ? value : null
}

function checkTime(timestamp: string): void {
  if (!/^(?:0|-?[1-9][0-9]{0,11})$/.test(timestamp)) {
    throw new ApiFailure(400, 'QUERY_TIME_OUT', 'Query out of time', {
      details: {
        cause: 'X-Ovh-Timestamp is no whole number.',
        remedy: 'Send UNIX seconds in decimal digits.',
      },
    })
  }
  if (Math.abs(Number(timestamp) - Date.now() / 1000) <= windowSeconds) return
  throw new ApiFailure(400, 'QUERY_TIME_OUT', 'Query out of time', {
    details: {
      cause: `X-Ovh-Timestamp is more than ${windowSeconds} seconds from this server's clock.`,
      remedy: 'Apply the difference between your clock and GET /auth/time.',
    },
  })
}

function signedParts(request: FastifyRequest, config: HttpConfig, timestamp: string): SignedParts {
  const tls = request.protocol === 'https'
  return {
    method: request.method,
    urls: candidateUrls(request.originalUrl, request.raw.headers.host, tls, config.publicUrls),
    body: rawBody(request),
    timestamp,
  }
}

const rawBody = (request: FastifyRequest): Uint8Array =>
  Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)

function readBody(request: FastifyRequest): Json | undefined {
  const bytes = rawBody(request)
  if (bytes.length === 0) return undefined
  try {
    return parseStrictJson(bytes)
  } catch (error) {
    if (error instanceof StrictJsonError) throw badJson(error)
    throw error
  }
}

function checkRights(request: FastifyRequest, consumer: Consumer): void {
  if (consumer.state !== 'validated') {
    throw new ApiFailure(403, 'INVALID_CREDENTIAL', 'This credential is not valid', {
      details: { cause: `The consumer key is ${consumer.state}.`, remedy: 'Ask the operator for a new key.' },
    })
  }
  const { operator, withoutRule } = request.routeOptions.config
  if (operator === true && !consumer.operator) throw notGranted('The call is for operators only.')
  if (withoutRule === true) return
  const path = request.url.replace(/^\/1\.0/, '').replace(/\?.*$/s, '')
  if (!isGranted(consumer.rules, request.method, path)) {
    throw notGranted(`No access rule of the key covers ${request.method} ${path}.`)
  }
}

const changesState = (request: FastifyRequest): boolean => request.method !== 'GET'

function limit(rate: RateLimit, name: string, cause: string): void {
  const wait = rate.take(name)
  if (wait > 0) throw tooMany(wait, cause)
}

async function refuseReplay(signature: string, applicationKey: string, ports: Ports): Promise<void> {
  const hash = createHash('sha256').update(`${applicationKey}+${signature}`).digest('hex')
  if (await ports.replays.claim(hash, replayMs)) return
  throw new ApiFailure(409, 'QUERY_REPLAYED', 'This query was already received', {
    details: {
      cause: 'A request with this signature was already accepted.',
      remedy: 'Sign it again with a new timestamp, if it was meant twice.',
    },
  })
}

const unknownQuery = (): ApiFailure =>
  new ApiFailure(400, 'BAD_PARAMETERS', 'Received not described parameters in the query', {
    details: {
      cause: 'This call has no query parameters, or not these.',
      remedy: 'Leave the query out, or write it as the API describes it.',
    },
  })

const badJson = (error: StrictJsonError): ApiFailure =>
  new ApiFailure(400, 'BAD_PARAMETERS', 'The body is not strict JSON', {
    details: { cause: `${error.message}.`, remedy: 'Send one JSON object in UTF-8, each key once.' },
  })

const loginFirst = (): ApiFailure =>
  new ApiFailure(401, 'NOT_AUTHENTICATED', 'You must login first', {
    details: {
      cause: 'X-Ovh-Signature or X-Ovh-Timestamp is missing, empty or doubled.',
      remedy: 'Sign the request with application key, secret and consumer key.',
    },
  })

const invalidKey = (): ApiFailure =>
  new ApiFailure(403, 'INVALID_KEY', 'This application key is invalid', {
    details: { cause: 'X-Ovh-Application names no known application.', remedy: 'Check the application key.' },
  })

const noCredential = (): ApiFailure =>
  new ApiFailure(403, 'NOT_CREDENTIAL', 'This credential does not exist', {
    details: {
      cause: 'X-Ovh-Consumer names no consumer key of this application.',
      remedy: 'Check the consumer key.',
    },
  })

const invalidSignature = (parts: SignedParts): ApiFailure =>
  new ApiFailure(400, 'INVALID_SIGNATURE', 'Invalid signature', {
    details: {
      cause: 'X-Ovh-Signature is not $1$ and the SHA-1 of `hashed` with any of `urls`.',
      remedy: 'Compare method, URL, body and timestamp with what your client hashes, then the secret.',
      ...describeHashed(parts),
    },
  })
