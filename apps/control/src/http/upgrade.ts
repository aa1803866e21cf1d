import { type IncomingMessage, ServerResponse } from 'node:http'
import { type Socket } from 'node:net'
import { type Duplex } from 'node:stream'
import { serialProtocol } from '@byoi/contract'
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type WebSocket, WebSocketServer } from 'ws'

/** Longest frame that a client may send: what is typed or pasted at once. */
const maxFrameBytes = 64 * 1024

/**
 * For node's `shouldUpgradeCallback`: only a call that can become a WebSocket is taken out of HTTP's hands. Everything else that asks
 * for an upgrade, such as HTTP/2 in plain text, is answered as if it had not asked.
 */
export const isWebSocketCall = ({ method, headers, url }: IncomingMessage): boolean =>
  method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && /\/serial(?:\?|$)/.test(url ?? '')

/** Calls that ask for a WebSocket, and how they get it once they have passed everything that every call passes. */
export interface Upgrades {
  isAsked(request: FastifyRequest): boolean
  /** Answers the call with a WebSocket (RFC 6455). A handshake that is not right is answered with 400. */
  accept(request: FastifyRequest, reply: FastifyReply, use: (socket: WebSocket) => void): void
}

/**
 * Leads WebSocket handshakes through fastify's hooks and routes, so that a call that is refused gets the same answer as every
 * other.
 */
export function routeUpgrades(app: FastifyInstance): Upgrades {
  const asked = new WeakMap<IncomingMessage, { socket: Duplex; head: Buffer; response: ServerResponse }>()
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => offered.has(serialProtocol) && serialProtocol,
  })
  app.server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    const fail = () => socket.destroy()
    socket.on('error', fail)
    const response = new ServerResponse(message)
    response.shouldKeepAlive = false
    response.assignSocket(socket as Socket)
    // Node itself looks after the socket no more: who is refused must not keep it.
    response.once('finish', () => (socket as Socket).destroySoon())
    asked.set(message, { socket, head, response })
    app.routing(message, response)
  })
  return {
    isAsked: (request) => asked.has(request.raw),
    accept: (request, reply, use) => {
      const found = asked.get(request.raw)
      if (found === undefined) throw new Error('The call asks for no WebSocket.')
      const { socket, head, response } = found
      reply.hijack()
      // For the log: what is answered goes past it.
      response.statusCode = 101
      response.detachSocket(socket as Socket)
      server.handleUpgrade(request.raw, socket, head, use)
    },
  }
}
