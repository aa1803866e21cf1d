import { type FastifyRequest } from 'fastify'
import { badRequest } from './api-failure.ts'

const maxHeaders = 100
const bodyless = new Set(['GET', 'HEAD', 'DELETE'])

/**
 * Judges the form of a request before its body is read. A body where none belongs is refused before anything is
 * verified: the signature is a plain SHA-1 with the secret in front, so a captured one can be extended by bytes that
 * would otherwise be hashed and then ignored.
 */
export function checkForm(request: FastifyRequest): void {
  const { headers, rawHeaders } = request.raw
  if (rawHeaders.length / 2 > maxHeaders) throw badRequest(400, `There are more than ${maxHeaders} headers.`)
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? '0') !== 0
  if (!hasBody) return
  if (bodyless.has(request.method)) throw badRequest(400, `A ${request.method} request has no body.`)
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw badRequest(415)
  if (!isJson(headers['content-type'])) throw badRequest(415)
}

/** OVHcloud's clients send `application/json` with every body, with or without a charset. */
function isJson(type: string | undefined): boolean {
  return /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?;?$/i.test(type?.trim() ?? '')
}
