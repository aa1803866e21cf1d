import { type FastifyInstance } from 'fastify'
import { identityOf } from './identity.ts'
import { type Consumer, type Ports } from './ports.ts'

/** OVHcloud's `/auth`: what a client needs to sign, and what a key may do. */
export function authRoutes(api: FastifyInstance, { keys }: Ports): void {
  // The text of a bare JSON integer: fastify would refuse to send a number.
  api.get('/auth/time', { config: { anonymous: true } }, async (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(String(Math.floor(Date.now() / 1000))),
  )

  api.get('/auth/currentCredential', { config: { withoutRule: true } }, async (request) =>
    credential(identityOf(request).consumer),
  )

  api.get('/auth/details', { config: { withoutRule: true } }, async (request) => {
    const { account, rules } = identityOf(request).consumer
    return {
      account,
      allowedRoutes: rules,
      description: null,
      identities: [`urn:v1:byoi:identity:account:${account}`],
      method: 'account',
      roles: null,
      user: null,
    }
  })

  api.post('/auth/logout', { config: { withoutRule: true } }, async (request, reply) => {
    const { caller } = identityOf(request)
    await keys.revoke(caller.applicationKey, caller)
    return reply.send(null)
  })
}

/** `auth.ApiCredential` */
const credential = (consumer: Consumer) => ({
  credentialId: consumer.credentialId,
  applicationId: consumer.applicationId,
  status: consumer.state,
  rules: consumer.rules,
  creation: consumer.createdAt.toISOString(),
  expiration: consumer.expiresAt?.toISOString() ?? null,
  lastUse: null,
  allowedIPs: null,
  ovhSupport: false,
})
