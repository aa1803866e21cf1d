import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'

/**
 * A server's serial console over a WebSocket (RFC 6455): `GET /byoi/server/{serviceName}/serial`, signed by the same four headers
 * as every call.
 *
 * Binary frames are the console's bytes, in both directions. Text frames come from the control plane only, each one
 * `SerialMessage` in JSON. The first is `hello`; then come the state and the newest `serialTailBytes` bytes, or with
 * `?after=N` what came after the position of that name.
 */
export const serialProtocol = 'byoi.serial.v1'

/**
 * A browser cannot set headers. It offers `serialProtocol` and this with a ticket after it as subprotocols instead, so that
 * the ticket stands in no URL.
 */
export const serialTicketPrefix = 'byoi.ticket.'

/** What a viewer gets of the past, in bytes. */
export const serialTailBytes = 64 * 1024

/**
 * `connecting`: the session with the BMC is being opened, also again after it has broken off. `in-use`: somebody else has the
 * console. `failed`: the BMC does not give it; the message says why, and it is tried again.
 */
export const serialStates = ['connecting', 'open', 'in-use', 'failed'] as const
export type SerialState = (typeof serialStates)[number]

const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

export const SerialMessage = Type.Union([
  /** Whether what is sent is typed on the console, or refused. */
  Type.Object({ type: Type.Literal('hello'), readonly: Type.Boolean() }),
  Type.Object({
    type: Type.Literal('state'),
    state: Type.Enum([...serialStates]),
    message: Type.Union([Type.String(), Type.Null()]),
  }),
  /** So many bytes, between those before and those after this message, were not kept. */
  Type.Object({ type: Type.Literal('missing'), bytes: count }),
  /** Everything up to here was sent: where a new connection goes on (`?after=N`). */
  Type.Object({ type: Type.Literal('position'), after: count }),
])
export type SerialMessage = Static<typeof SerialMessage>

/** Reads a text frame; null when this release does not know it. */
export function readSerialMessage(text: string): SerialMessage | null {
  try {
    const message: unknown = JSON.parse(text)
    return Value.Check(SerialMessage, message) ? message : null
  } catch {
    return null
  }
}

/**
 * Close codes of RFC 6455, section 7.4.1, as they are used here. After `policy` a new connection will not help: the key was
 * revoked, or it may not type. After any other code the client connects again.
 */
export const serialClose = {
  goingAway: 1001,
  unsupported: 1003,
  policy: 1008,
  internal: 1011,
  later: 1013,
} as const

/** Answer of `POST /byoi/server/{serviceName}/serial/ticket`: good for one connection, soon. */
export interface SerialTicket {
  ticket: string
  /** Seconds. */
  expiresIn: number
}

/** Body of that call; none at all is the same as `{}`. */
export const SerialTicketBody = Type.Object(
  {
    /** What is typed over this connection is refused, although the key may type. */
    readonly: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type SerialTicketBody = Static<typeof SerialTicketBody>

/** Stands in the recorded bytes where some are missing. */
export const missingMark = (bytes: number): string => `\r\n[byoi: ${bytes} bytes are missing here]\r\n`
