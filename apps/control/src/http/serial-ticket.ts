import { serialTicketPrefix } from '@byoi/contract'
import { type FastifyRequest } from 'fastify'
import { ApiFailure } from './api-failure.ts'

/** The ticket that stands for a signature, where the route takes one; see the contract's serial-protocol.ts. */
export function ticketOf(request: FastifyRequest): string | null {
  if (request.routeOptions.config.ticket !== true) return null
  const offered = request.headers['sec-websocket-protocol']?.split(',').map((each) => each.trim()) ?? []
  const found = offered.find((each) => each.startsWith(serialTicketPrefix))
  return found?.slice(serialTicketPrefix.length) ?? null
}

export const invalidTicket = (): ApiFailure =>
  new ApiFailure(403, 'INVALID_TICKET', 'This ticket is invalid', {
    details: {
      cause: 'It was used already, is too old, or was issued for another server.',
      remedy: 'Ask for a new one by POST /byoi/server/{serviceName}/serial/ticket.',
    },
  })
