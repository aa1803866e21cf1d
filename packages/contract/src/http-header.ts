import { type BadParameter, badField } from './bad-parameter.ts'
import { Secret } from './secret.ts'
import { type SecretKeyValue } from './byoi-request.types.ts'

const maxHeaders = 32
const maxNameBytes = 256
const maxValueBytes = 8192

/** Headers that belong to the transport or to the agent's own way of fetching, resuming and framing. */
const reserved = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'http2-settings',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * Checks the headers that the agent is to send to the image server (RFC 9110 section 5). Values may not be rewritten on
 * the way, so what an HTTP library would trim is refused. Throws `BadParameter` naming the entry, never its value.
 */
export function parseHttpHeader(list: readonly { key: string; value: string }[]): SecretKeyValue[] {
  if (list.length > maxHeaders) throw badField('httpHeader', `hold at most ${maxHeaders} headers`)
  const seen = new Set<string>()
  return list.map(({ key, value }, index) => {
    const problem = nameProblem(key, seen)
    if (problem !== null) throw refuse(index, 'key', problem)
    seen.add(key.toLowerCase())
    if (Buffer.byteLength(value) > maxValueBytes) {
      throw refuse(index, 'value', `be at most ${maxValueBytes} bytes long`)
    }
    if (!/^(?:[\x21-\x7e\xa0-\xff](?:[\t\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?)?$/.test(value)) {
      throw refuse(index, 'value', 'be Latin-1 text without control characters or outer blanks')
    }
    return { key, value: new Secret(value) }
  })
}

function nameProblem(name: string, seen: ReadonlySet<string>): string | null {
  const lower = name.toLowerCase()
  if (name.length > maxNameBytes) return `be at most ${maxNameBytes} bytes long`
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return 'be a header name (RFC 9110 token)'
  if (reserved.has(lower) || lower.startsWith('proxy-')) {
    return 'not be a header that byoi sets itself or that belongs to the connection'
  }
  return seen.has(lower) ? 'differ from the other headers by more than letter case' : null
}

const refuse = (index: number, member: string, must: string): BadParameter =>
  badField(`httpHeader.${index}.${member}`, must)
