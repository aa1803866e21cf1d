import { request as requestHttp } from 'node:http'
import { type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { ovhSignature } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { defaultHttpConfig, type HttpConfig } from './http-config.ts'
import { type MemoryPorts, memoryPorts, type TestKey } from './memory-ports.fixture.ts'
import { createHttp, type HttpOptions } from './server.ts'

/** Rates that no test reaches by chance. */
export const unlimited = { perSecond: 100_000, burst: 100_000 }
export const testConfig: HttpConfig = {
  ...defaultHttpConfig,
  rateLimits: { calls: unlimited, changes: unlimited, badSignatures: unlimited },
}

export interface TestApi {
  app: FastifyInstance
  ports: MemoryPorts
  port: number
  /** Lines of the log so far. */
  log: string[]
}

/** A listening API on loopback; stopped when the test has ended. */
export async function startApi(
  t: { after(fn: () => Promise<void>): void },
  config: Partial<HttpConfig> = {},
  plugins: NonNullable<HttpOptions['plugins']> = [],
): Promise<TestApi> {
  const ports = memoryPorts()
  const log: string[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => log.push(line) })
  const app = createHttp({ ports, config: { ...testConfig, ...config }, logger, plugins })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  return { app, ports, port: (app.server.address() as AddressInfo).port, log }
}

let lastTimestamp = 0
/** A stamp that no other call of this process had, so that equal calls have different signatures. Seconds. */
export function freshTimestamp(): string {
  const now = Math.floor(Date.now() / 1000)
  lastTimestamp = lastTimestamp < now - 200 || lastTimestamp > now + 250 ? now - 200 : lastTimestamp + 1
  return String(lastTimestamp)
}

export interface TestCall {
  method?: string
  /** Raw request target. */
  target: string
  body?: string | Buffer
  timestamp?: string
  /** What to sign where it is not what is sent. */
  signedUrl?: string
  signedMethod?: string
  signedBody?: string | Buffer
  signature?: string
  /** Replaces or (undefined) removes headers; an array sends one line each. */
  headers?: Record<string, string | string[] | undefined>
}

export interface TestAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  json: Record<string, unknown> & { message?: string; errorCode?: string; details?: Record<string, string> }
}

/** Signs a call as go-ovh and python-ovh do (the endpoint as configured, port included) and sends it raw. */
export async function call(api: Pick<TestApi, 'port'>, key: TestKey, options: TestCall): Promise<TestAnswer> {
  const { method = 'GET', target, body = '' } = options
  const timestamp = options.timestamp ?? freshTimestamp()
  const signature = ovhSignature({
    applicationSecret: key.applicationSecret,
    consumerKey: key.consumerKey,
    method: options.signedMethod ?? method,
    url: options.signedUrl ?? `http://127.0.0.1:${api.port}${target}`,
    body: options.signedBody ?? body,
    timestamp,
  })
  const headers: Record<string, string | string[] | undefined> = {
    'X-Ovh-Application': key.applicationKey,
    'X-Ovh-Consumer': key.consumerKey,
    'X-Ovh-Timestamp': timestamp,
    'X-Ovh-Signature': options.signature ?? signature,
    ...(body.length === 0
      ? {}
      : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)) }),
    ...options.headers,
  }
  return send(api.port, method, target, headers, body)
}

/** Sends a request as it is, with nothing added but Host. */
export async function send(
  port: number,
  method: string,
  target: string,
  headers: Record<string, string | string[] | undefined> = {},
  body: string | Buffer = '',
): Promise<TestAnswer> {
  const set = Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] => entry[1] !== undefined,
  )
  const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    const request = requestHttp({
      host: '127.0.0.1',
      port,
      method,
      path: target,
      headers: Object.fromEntries(set),
      agent: false,
    })
    request.once('response', resolve).once('error', reject)
    request.end(body)
  })
  const content = await text(answer)
  let json: unknown = null
  try {
    json = JSON.parse(content)
  } catch {
    // Not every answer is JSON; the test that expects some will see null.
  }
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    text: content,
    json: json as TestAnswer['json'],
  }
}
