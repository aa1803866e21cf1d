import { BadParameter, checkShape, NewSigningKeyBody, type SigningKeyAnswer } from '@byoi/contract'
import { readSigningKey, SigningProblem } from '@byoi/signing'
import { type FastifyInstance } from 'fastify'
import { ApiFailure, notFoundObject } from './api-failure.ts'
import { identityOf } from './identity.ts'
import { type Ports } from './ports.ts'

const path = '/byoi/signingKey'
interface ByName {
  Params: { name: string }
}

/** An account's public keys, by which its deployments have images verified. */
export function signingKeyRoutes(api: FastifyInstance, { signingKeys }: Ports): void {
  api.get(
    path,
    async (request): Promise<SigningKeyAnswer[]> => signingKeys.list(identityOf(request).caller.account),
  )

  api.post(path, async (request): Promise<SigningKeyAnswer> => {
    const { caller, body } = identityOf(request)
    const { name, key } = checkShape(NewSigningKeyBody, body, 'POST/signingKey')
    const { format, ids } = await readKey(key)
    const result = await signingKeys.add(caller.account, { name, format, ids, key }, caller)
    if (result.kind === 'exists') throw exists(name)
    if (result.kind === 'full') throw full(result.most)
    return result.key
  })

  api.delete<ByName>(`${path}/:name`, async (request, reply) => {
    const { caller } = identityOf(request)
    if (!(await signingKeys.remove(caller.account, request.params.name, caller)))
      throw notFoundObject('name', null)
    return reply.send(null)
  })
}

/** What is wrong is told without the text: somebody may have sent a private key. */
async function readKey(text: string) {
  try {
    return await readSigningKey(text)
  } catch (error) {
    if (!(error instanceof SigningProblem)) throw error
    const { cause: reason, remedy } = error
    throw new BadParameter("Body parameter key isn't formated correctly", { field: 'key', reason, remedy })
  }
}

const exists = (name: string): ApiFailure =>
  new ApiFailure(409, 'ALREADY_EXISTS', `There is a signing key ${name} already`, {
    details: { cause: 'The name is taken.', remedy: 'Choose another name, or delete that key first.' },
  })

const full = (most: number): ApiFailure =>
  new ApiFailure(409, 'TOO_MANY_KEYS', `An account has at most ${most} signing keys`, {
    details: { cause: 'There is no room for another key.', remedy: 'Delete one that is not used any more.' },
  })
