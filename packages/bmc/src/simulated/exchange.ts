/** A request to the simulated BMC. */
export interface Exchange {
  method: string
  /** Path without query. */
  path: string
  /** By lower-case name. */
  headers: Readonly<Record<string, string | undefined>>
  /** Parsed JSON; undefined when there was none. */
  body: unknown
}

export interface Answer {
  /** 0: no answer, the connection is broken off. */
  status: number
  headers: Record<string, string>
  /** Sent as JSON; a string as it is; undefined: no body. */
  body?: unknown
}

export type Handler = (exchange: Exchange) => Promise<Answer>

/** A request that is answered with an error. */
export class Refusal extends Error {
  readonly status: number
  readonly messageId: string

  constructor(status: number, messageId: string, message: string) {
    super(message)
    this.status = status
    this.messageId = messageId
  }
}

/** DSP0266, "Error responses". */
export function errorAnswer(status: number, messageId: string, message: string): Answer {
  const info = {
    '@odata.type': '#Message.v1_1_2.Message',
    MessageId: messageId,
    Message: message,
    MessageArgs: [],
    Severity: 'Critical',
    Resolution: 'None.',
  }
  return {
    status,
    headers: {},
    body: { error: { code: messageId, message, '@Message.ExtendedInfo': [info] } },
  }
}

export const ok = (body: unknown, headers: Record<string, string> = {}): Answer => ({
  status: 200,
  headers,
  body,
})

export const noContent = (): Answer => ({ status: 204, headers: {} })

export type Json = Record<string, unknown>

/** The member as an object, or undefined. */
export function member(of: unknown, name: string): Json | undefined {
  const value = typeof of === 'object' && of !== null ? (of as Json)[name] : undefined
  return typeof value === 'object' && value !== null ? (value as Json) : undefined
}
