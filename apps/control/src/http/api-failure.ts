import { STATUS_CODES } from 'node:http'
import { BadParameter } from '@byoi/contract'
import { Unavailable } from './ports.ts'

/** What an API call is refused with. Thrown by handlers, made into an answer at the edge. */
export class ApiFailure extends Error {
  readonly status: number
  readonly errorCode: string
  /** Strings only: go-ovh cannot read an error whose `details` hold anything else. */
  readonly details: Record<string, string>
  readonly headers: Record<string, string>

  constructor(
    status: number,
    errorCode: string,
    message: string,
    extra: { details?: Record<string, string>; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.name = 'ApiFailure'
    this.status = status
    this.errorCode = errorCode
    this.details = extra.details ?? {}
    this.headers = extra.headers ?? {}
  }
}

const classes: Record<number, string> = {
  400: 'Client::BadRequest',
  401: 'Client::Unauthorized',
  403: 'Client::Forbidden',
  404: 'Client::NotFound',
  408: 'Client::RequestTimeout',
  409: 'Client::Conflict',
  413: 'Client::PayloadTooLarge',
  415: 'Client::UnsupportedMediaType',
  426: 'Client::UpgradeRequired',
  429: 'Client::TooManyRequests',
  431: 'Client::RequestHeaderFieldsTooLarge',
  500: 'Server::InternalServerError',
  503: 'Server::ServiceUnavailable',
}

/**
 * Both of OVHcloud's error shapes in one object, since each client reads the one it knows: `class` and `message`, or
 * `errorCode`, `httpCode` and `message`. Never a member named `code`: go-ovh takes it for an integer.
 */
export const errorBody = (failure: ApiFailure): Record<string, unknown> => ({
  class:
    classes[failure.status] ?? (failure.status < 500 ? 'Client::BadRequest' : 'Server::InternalServerError'),
  message: failure.message,
  errorCode: failure.errorCode,
  httpCode: `${failure.status} ${STATUS_CODES[failure.status] ?? ''}`.trim(),
  ...(Object.keys(failure.details).length === 0 ? {} : { details: failure.details }),
})

/** Any thrown value as the failure that the caller is told. What is not known is told as a fault of ours. */
export function toApiFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error
  if (error instanceof BadParameter) return badParameter(error)
  if (error instanceof Unavailable) return unavailable()
  return fromFramework(error) ?? internal()
}

const badParameter = (error: BadParameter): ApiFailure =>
  new ApiFailure(400, error.code, error.message, { details: { cause: error.reason, remedy: error.remedy } })

const unavailable = (): ApiFailure =>
  new ApiFailure(503, 'UNAVAILABLE', 'The service is unavailable for now', {
    details: { cause: 'The control plane cannot reach its database.', remedy: 'Try again in a few seconds.' },
    headers: { 'Retry-After': '5' },
  })

const internal = (): ApiFailure =>
  new ApiFailure(500, 'INTERNAL', 'An internal error has occurred', {
    details: { cause: 'byoi itself failed.', remedy: 'Tell the operator the X-Ovh-QueryID of this answer.' },
  })

/** Errors of fastify about the request (too large, bad media type ...) carry a status below 500. */
function fromFramework(error: unknown): ApiFailure | null {
  const { statusCode, code } = (error ?? {}) as { statusCode?: unknown; code?: unknown }
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode >= 500) return null
  if (typeof code !== 'string' || !code.startsWith('FST_')) return null
  return badRequest(statusCode)
}

/** A request that breaks HTTP's or this API's form before it is looked at more closely. */
export function badRequest(status: number, reason?: string): ApiFailure {
  const [errorCode, message, cause, remedy] = forms[status] ?? forms[400]
  return new ApiFailure(status, errorCode, message, { details: { cause: reason ?? cause, remedy } })
}

type Form = [errorCode: string, message: string, cause: string, remedy: string]
const forms: Record<number, Form> & { 400: Form } = {
  400: ['BAD_REQUEST', 'Bad request', 'The request is not well formed.', 'Send it as the API describes it.'],
  408: ['TIMEOUT', 'Request timed out', 'The request did not arrive in time.', 'Send it again, faster.'],
  413: ['TOO_LARGE', 'Body is too large', 'The body is larger than 1 MiB.', 'Send a smaller body.'],
  415: [
    'MEDIA_TYPE',
    'Body must be JSON',
    'The Content-Type or Content-Encoding is not accepted.',
    'Send Content-Type application/json in UTF-8, without Content-Encoding.',
  ],
  431: [
    'TOO_LARGE',
    'Headers are too large',
    'The headers are too large or too many.',
    'Send fewer headers.',
  ],
}

export const notFoundRoute = (): ApiFailure =>
  new ApiFailure(404, 'NOT_FOUND', 'Got an invalid (or empty) URL', {
    details: { cause: 'There is no such call.', remedy: 'Check path and method.' },
  })

/** OVHcloud's sentence for an object that is absent or another's. `value` null: not fit to be shown. */
export const notFoundObject = (name: string, value: string | null): ApiFailure =>
  new ApiFailure(
    404,
    'NOT_FOUND',
    `The requested object (${value === null ? name : `${name} = ${value}`}) does not exist`,
    {
      details: {
        cause: 'It does not exist, or it belongs to another account.',
        remedy: 'Check the name and the key.',
      },
    },
  )

export const tooMany = (waitSeconds: number, cause: string): ApiFailure =>
  new ApiFailure(429, 'TOO_MANY_REQUESTS', 'Too many requests', {
    details: { cause, remedy: 'Wait as long as Retry-After says.' },
    headers: { 'Retry-After': String(Math.max(1, Math.ceil(waitSeconds))) },
  })
