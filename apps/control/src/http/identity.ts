import { type Json } from '@byoi/contract'
import { type FastifyRequest } from 'fastify'
import { ApiFailure } from './api-failure.ts'
import { type Caller, type Consumer } from './ports.ts'

/** What authentication has proved about a request. */
export interface Identity {
  caller: Caller
  consumer: Consumer
  /** The body as strict JSON; undefined when it is empty. */
  body: Json | undefined
  /** It was proved by a ticket with which one may only look. */
  readonly: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    identity: Identity | null
  }
  interface FastifyContextConfig {
    /** Answered to anybody, without signature. */
    anonymous?: boolean
    /** Needs a valid key but no access rule: the call is about the key itself. */
    withoutRule?: boolean
    /** Needs a key of an operator. */
    operator?: boolean
    /** What the query may be, as a whole. Without it there may be none. */
    query?: RegExp
    /** Takes a ticket instead of a signature. */
    ticket?: boolean
    /** A POST that does not count as a change of its server. */
    changesNothing?: boolean
  }
}

/** The proved identity. A handler that asks on an anonymous route has a fault, which ends in 500. */
export function identityOf(request: FastifyRequest): Identity {
  if (request.identity === null) throw new Error('The route has no identity.')
  return request.identity
}

/** The account whose objects the caller sees; null: every account's. */
export const scopeOf = (caller: Caller): string | null => (caller.operator ? null : caller.account)

export const notGranted = (cause: string): ApiFailure =>
  new ApiFailure(403, 'NOT_GRANTED_CALL', 'This call has not been granted', {
    details: { cause, remedy: 'Use a key that has the right, or ask the operator for one.' },
  })
