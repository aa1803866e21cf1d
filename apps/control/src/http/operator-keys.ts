import { badField, checkShape, isRulePath, type KeyAnswer, NewKeyBody } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { notFoundObject } from './api-failure.ts'
import { identityOf } from './identity.ts'
import { type NewKey, type Ports } from './ports.ts'

const config = { operator: true }
interface ByKey {
  Params: { applicationKey: string }
}

/** Keys and their access rules; for operators. */
export function keyRoutes(api: FastifyInstance, { keys }: Ports): void {
  api.post('/byoi/key', { config }, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const made = await keys.create(newKey(body), caller)
    // The one answer that holds secrets; they are never shown again.
    return reply.send({
      applicationKey: made.applicationKey,
      applicationSecret: made.applicationSecret.reveal(),
      consumerKey: made.consumerKey.reveal(),
    })
  })

  api.get('/byoi/key', { config }, async (): Promise<KeyAnswer[]> => keys.list())

  api.delete<ByKey>('/byoi/key/:applicationKey', { config }, async (request, reply) => {
    const { applicationKey } = request.params
    if (!(await keys.revoke(applicationKey, identityOf(request).caller))) {
      throw notFoundObject('applicationKey', null)
    }
    return reply.send(null)
  })
}

function newKey(body: unknown): NewKey {
  const { account, operator, rules, description, expiresIn } = checkShape(NewKeyBody, body, 'POST/key')
  const bad = rules.findIndex((rule) => !isRulePath(rule.path))
  if (bad >= 0) throw badField(`rules.${bad}.path`, 'begin with a slash and hold at most eight *')
  return {
    account,
    operator: operator ?? false,
    rules,
    description: description ?? '',
    expiresInMs: typeof expiresIn === 'number' ? expiresIn * 1000 : null,
  }
}
