import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import { type Secret } from './secret.ts'
import { ovhSignature } from './signature.ts'

export interface ClientOptions {
  /** Base URL with the version, e.g. `https://127.0.0.1:8443/1.0`. */
  endpoint: string
  applicationKey: string
  applicationSecret: Secret
  consumerKey: Secret
  /** PEM of the only certificate authority to trust; default: the system's. */
  ca?: string
  /** Longest wait for the answer's head, and between two pieces of it, in ms. Default 30,000. */
  timeoutMs?: number
}

/** A refusal or failure as the API told it. `reason` is the catalogue's `cause`. */
export class ApiError extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number
  readonly errorCode: string | null
  readonly reason: string | null
  readonly remedy: string | null
  readonly queryId: string | null

  constructor(
    message: string,
    facts: {
      status: number
      errorCode?: string | null
      reason?: string | null
      remedy?: string | null
      queryId?: string | null
      cause?: unknown
    },
  ) {
    super(message, { cause: facts.cause })
    this.name = 'ApiError'
    this.status = facts.status
    this.errorCode = facts.errorCode ?? null
    this.reason = facts.reason ?? null
    this.remedy = facts.remedy ?? null
    this.queryId = facts.queryId ?? null
  }
}

export interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Without the base, e.g. `/dedicated/server`. */
  path: string
  body?: unknown
  headers?: Record<string, string>
  /** UNIX seconds by the server's clock; undefined: not signed. */
  timestamp?: number
  /** Instead of the client's. */
  timeoutMs?: number
  signal?: AbortSignal
}

/** Sends one call and returns the answer's stream when its status is 2xx; else throws `ApiError`. */
export async function send(options: ClientOptions, call: Call): Promise<IncomingMessage> {
  const url = options.endpoint.replace(/\/+$/, '') + call.path
  const body = call.body === undefined ? '' : JSON.stringify(call.body)
  const headers: Record<string, string> = {
    Accept: 'application/json',
    'X-Ovh-Application': options.applicationKey,
    ...call.headers,
  }
  if (body !== '') {
    headers['Content-Type'] = 'application/json;charset=utf-8'
    headers['Content-Length'] = String(Buffer.byteLength(body))
  }
  if (call.timestamp !== undefined) {
    Object.assign(headers, sign(options, call.method, url, body, String(call.timestamp)))
  }
  const answer = await exchange(options, call, url, headers, body)
  const status = answer.statusCode ?? 0
  if (status >= 200 && status < 300) return answer
  throw readError(status, await text(answer), header(answer, 'x-ovh-queryid'))
}

/** URL and headers of a signed GET that another client sends, such as one for WebSockets. `timestamp`: see `Call`. */
export function signedGet(options: ClientOptions, path: string, timestamp: number) {
  const url = options.endpoint.replace(/\/+$/, '') + path
  const signature = sign(options, 'GET', url, '', String(timestamp))
  return { url, headers: { 'X-Ovh-Application': options.applicationKey, ...signature } }
}

function sign(options: ClientOptions, method: string, url: string, body: string, timestamp: string) {
  const consumerKey = options.consumerKey.reveal()
  const applicationSecret = options.applicationSecret.reveal()
  return {
    'X-Ovh-Consumer': consumerKey,
    'X-Ovh-Timestamp': timestamp,
    'X-Ovh-Signature': ovhSignature({
      applicationSecret,
      consumerKey,
      method,
      url,
      body,
      timestamp,
    }),
  }
}

function exchange(
  options: ClientOptions,
  call: Call,
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? requestHttps : requestHttp)(url, {
      method: call.method,
      headers,
      timeout: call.timeoutMs ?? options.timeoutMs ?? 30_000,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    })
    request.once('response', resolve)
    request.once('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', (cause) => {
      const facts = {
        status: 0,
        reason: cause.message,
        remedy: 'Check the endpoint, the network and the certificate authority.',
        cause,
      }
      reject(new ApiError('The API could not be reached.', facts))
    })
    request.end(body)
  })
}

/** A refusal as it came: its body in the API's error shape, or whatever it is. */
export function readError(status: number, body: string, queryId: string | null): ApiError {
  const { message, errorCode, details } = readObject(body)
  const { cause, remedy } = readObject(JSON.stringify(details ?? null))
  return new ApiError(typeof message === 'string' ? message : `The API answered ${status}.`, {
    status,
    errorCode: typeof errorCode === 'string' ? errorCode : null,
    reason: typeof cause === 'string' ? cause : null,
    remedy: typeof remedy === 'string' ? remedy : null,
    queryId,
  })
}

function readObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function header(answer: IncomingMessage, name: string): string | null {
  const value = answer.headers[name]
  return typeof value === 'string' ? value : null
}
