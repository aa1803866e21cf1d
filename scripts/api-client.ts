/** Signed calls of byoi's own making, for the scripts and tests that call often or need status and headers. */
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { ovhSignature } from '@byoi/contract'
import { type ApiKey } from './ovh-call.ts'

export interface ApiAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The text as JSON; undefined when it is none. */
  body: unknown
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Calls one control plane with one key. `path` begins after `/1.0`. */
export class ApiClient {
  readonly #base: string
  readonly #ca: Buffer | undefined
  readonly #key: ApiKey

  /** @param url `https://HOST:PORT` or `http://HOST:PORT`; `caPath` for https. */
  constructor(url: string, caPath: string | undefined, key: ApiKey) {
    this.#base = `${url.replace(/\/+$/, '').replace(/\/1\.0$/, '')}/1.0`
    this.#ca = caPath === undefined ? undefined : readFileSync(caPath)
    this.#key = key
  }

  /** @throws {Error} of the network only; every answer comes back as it is. */
  call(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    const url = `${this.#base}${path}`
    const text = body === undefined ? '' : JSON.stringify(body)
    const timestamp = String(Math.floor(Date.now() / 1000))
    const { applicationKey, applicationSecret, consumerKey } = this.#key
    const headers = {
      'X-Ovh-Application': applicationKey,
      'X-Ovh-Consumer': consumerKey,
      'X-Ovh-Timestamp': timestamp,
      'X-Ovh-Signature': ovhSignature({
        applicationSecret,
        consumerKey,
        method,
        url,
        body: text,
        timestamp,
      }),
      ...(text === ''
        ? {}
        : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
    }
    return new Promise((resolve, reject) => {
      const options = { method, headers, timeout: 20_000 }
      const request = url.startsWith('https:')
        ? httpsRequest(url, { ...options, ca: this.#ca, agent: false })
        : httpRequest(url, { ...options, agent: false })
      request.once('timeout', () => request.destroy(new Error(`${method} ${path}: no answer in 20 s`)))
      request.once('error', reject)
      request.once('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () => {
          const answer = Buffer.concat(chunks).toString()
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: answer,
            body: parse(answer),
          })
        })
      })
      request.end(text)
    })
  }
}
