import { type FastifyReply, type FastifyRequest } from 'fastify'

/**
 * One line for an answered request. Of what the caller sent it holds only what was proved or is the router's own text: no
 * raw path, query, header or body.
 */
export function logAnswer(request: FastifyRequest, reply: FastifyReply): void {
  const { serviceName } = (request.params ?? {}) as { serviceName?: string }
  const { identity, method, routeOptions } = request
  request.log.info(
    {
      method,
      route: routeOptions.url ?? null,
      server: identity === null ? undefined : serviceName,
      status: reply.raw.statusCode,
      ms: Math.round(reply.elapsedTime),
      key: identity?.caller.applicationKey,
      address: request.ip,
    },
    'answered',
  )
}

/** A fault of ours. Only name, code and stack: drivers hang the values of a failed query onto their errors. */
export function logFailure(request: FastifyRequest, error: unknown): void {
  const { name, code, stack } = (error instanceof Error ? error : new Error('not an Error')) as Error & {
    code?: unknown
  }
  request.log.error({ route: request.routeOptions.url, error: { name, code, stack } }, 'failed')
}
