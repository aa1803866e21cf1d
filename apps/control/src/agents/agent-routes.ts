import {
  agentPaths,
  BadParameter,
  checkShape,
  JoinRequest,
  parseStrictJson,
  PermitRequest,
  Report,
  StrictJsonError,
} from '@byoi/contract'
import { type FastifyPluginAsync, type FastifyReply, type FastifyRequest } from 'fastify'
import { type TSchema, type Static } from 'typebox'
import { Unavailable } from '../http/ports.ts'
import { Fenced, type WorkflowContext } from '../deployments/workflow-context.ts'
import { isAway, type Trx } from '../store/database.ts'
import { AgentRefusal, notTheAgent } from './agent-refusal.ts'
import { join } from './join.ts'
import { orderFor } from './order.ts'
import { permit } from './permit.ts'
import { report } from './report.ts'
import { hear, type Heard, type SignedMessage } from './session.ts'

/** A join names up to 256 disks, a report carries up to 100 lines. */
const maxBodyBytes = 512 * 1024
const retryAfterSeconds = '1'

/** The control plane's side of the agent protocol (see the contract's agent-protocol.ts). */
export function agentRoutes(context: WorkflowContext): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers()
    // Signatures cover the bytes as sent.
    const bytes = { parseAs: 'buffer', bodyLimit: maxBodyBytes } as const
    app.addContentTypeParser('*', bytes, (_request, body, done) => done(null, body))
    app.setErrorHandler((error, request, reply) => refuse(error, request, reply))

    app.post(agentPaths.join, async (request) => await join(context, shaped(JoinRequest, bodyOf(request))))

    const signed = (
      path: string,
      handle: (trx: Trx, heard: Heard, message: SignedMessage) => Promise<object>,
    ) =>
      app.post(path, async (request) => {
        const message = messageOf(path, request)
        return await context.db
          .transaction()
          .execute(async (trx) => await handle(trx, await hear(trx, message), message))
      })
    signed(agentPaths.order, async (trx, heard) => await orderFor(context, trx, heard))
    signed(agentPaths.report, async (trx, heard, message) => {
      return await report(context, trx, heard, shaped(Report, message.body), message.sequence)
    })
    signed(agentPaths.permit, async (trx, heard, message) => {
      return await permit(context, trx, heard, shaped(PermitRequest, message.body).epoch)
    })
  }
}

const bodyOf = (request: FastifyRequest): Buffer =>
  Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)

const shaped = <T extends TSchema>(schema: T, body: Buffer): Static<T> =>
  checkShape(schema, parseStrictJson(body), 'agent')

function messageOf(path: string, request: FastifyRequest): SignedMessage {
  const lease = request.headers['x-byoi-lease']
  const sequence = request.headers['x-byoi-sequence']
  const signature = request.headers['x-byoi-signature']
  if (typeof lease !== 'string' || typeof sequence !== 'string' || typeof signature !== 'string') {
    throw notTheAgent()
  }
  if (!/^[1-9][0-9]{0,14}$/.test(sequence)) throw notTheAgent()
  return { path, lease, sequence: Number(sequence), signature, body: bodyOf(request) }
}

/** The agent judges by the status; the text is for whoever reads its log. */
function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const [status, message] = statusOf(error)
  if (status === 500) request.log.error({ err: error }, 'an agent could not be answered')
  if (status === 409 || status === 503) void reply.header('Retry-After', retryAfterSeconds)
  return reply.code(status).send({ message })
}

function statusOf(error: unknown): [number, string] {
  if (error instanceof AgentRefusal) return [error.status, error.message]
  if (error instanceof BadParameter || error instanceof StrictJsonError) return [400, error.message]
  if (error instanceof Fenced) return [409, 'Try again later.']
  if (error instanceof Unavailable || isAway(error)) return [503, 'The database is away for now.']
  const { statusCode } = error as { statusCode?: unknown }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) return [statusCode, 'Refused.']
  return [500, 'A fault of the control plane itself.']
}
