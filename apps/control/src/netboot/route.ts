import { type IncomingMessage } from 'node:http'

/** A request whose path a route knows. */
export interface ProvisioningRequest {
  method: string
  /** What the groups of the route's path matched. */
  parts: string[]
  query: URLSearchParams
  /** IP address of the peer; an IPv4 address in its own form. */
  address: string
  raw: IncomingMessage
}

export interface ProvisioningReply {
  status: number
  headers: Record<string, string | number>
  /** Not read for HEAD. */
  body: Uint8Array | AsyncIterable<Uint8Array> | null
  /** Releases what the body reads from; called once, whether it was read or not. */
  close?: () => Promise<void>
}

export interface ProvisioningRoute {
  /** For the log: the path of a request may hold a secret word. */
  name: string
  methods: readonly string[]
  /** Of the raw path, as a whole: nothing is decoded, so nothing can be spelled in two ways. */
  path: RegExp
  /** null: there is nothing here for this caller, and nothing tells why. */
  answer(request: ProvisioningRequest): Promise<ProvisioningReply | null>
}

export const reading = ['GET', 'HEAD'] as const

export const textReply = (text: string): ProvisioningReply => {
  const body = Buffer.from(text)
  return {
    status: 200,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length },
    body,
  }
}
