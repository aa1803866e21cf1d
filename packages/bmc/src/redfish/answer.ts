import { type IncomingHttpHeaders } from 'node:http'
import { type Json, parseObject, textAt } from './json.ts'
import { type Message, messagesOf } from './messages.ts'
import { type WireAnswer } from './wire.ts'

export interface Answer {
  status: number
  /** 2xx: accepted. What the body says then is no matter: some BMCs send an error body with 200. */
  ok: boolean
  headers: IncomingHttpHeaders
  /** null: there is no body, or none that can be read. */
  json: Json | null
  /** Why the body cannot be read, as the end of a sentence about what was answered; null when it can, or there is none. */
  garbled: string | null
  messages: readonly Message[]
}

export function answerOf({ status, headers, text }: WireAnswer): Answer {
  const ok = status >= 200 && status < 300
  const read = status === 204 || text === '' ? { json: null, garbled: null } : readBody(text)
  const plain = !ok && read.garbled !== null && isSentence(text) ? [{ id: '', text, properties: [] }] : []
  return { status, ok, headers, ...read, messages: [...messagesOf(read.json), ...plain] }
}

/** sushy-tools, and BMCs whose web server answers for them, refuse in plain words. */
const isSentence = (text: string): boolean => text.length < 300 && !/^\s*[<{[]/.test(text)

function readBody(text: string): { json: Json | null; garbled: string | null } {
  try {
    return { json: parseObject(text), garbled: null }
  } catch (error) {
    return { json: null, garbled: `cannot be used: ${(error as Error).message}` }
  }
}

/** The ETag exactly as given, in the header or else the body; an empty one is none. */
export const etagOf = ({ headers, json }: Answer): string | null =>
  headers.etag === undefined || headers.etag === '' ? textAt(json, '@odata.etag') : headers.etag

/** What `Retry-After` asks for, in ms (RFC 9110, section 10.2.3: seconds or a date); null: nothing. */
export function retryAfter(headers: IncomingHttpHeaders, wallClock: number): number | null {
  const value = headers['retry-after']
  if (value === undefined || value === '') return null
  if (/^\d+$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? null : Math.max(0, date - wallClock)
}

/** A precondition is demanded (RFC 6585, section 3; AMI says so with another status). */
export const needsMatch = ({ status, messages }: Answer): boolean =>
  status === 428 ||
  messages.some(({ id }) => id === 'PreconditionHeaderMissing' || id === 'PreconditionRequired')

/** A precondition is missing or was not met: nothing was changed. */
export const isUnmatched = (answer: Answer): boolean => answer.status === 412 || needsMatch(answer)
