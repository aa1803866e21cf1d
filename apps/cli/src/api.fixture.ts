/** For tests: an API over HTTP that checks every signature, and a context that keeps what is printed. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type DeploymentView, ovhSignature } from '@byoi/contract'
import { CommanderError } from 'commander'
import type { Context } from './context.ts'
import { makeProgram } from './program.ts'
import { showError } from './show-error.ts'

export const keys = {
  applicationKey: 'app-key',
  applicationSecret: 'canary-app-secret',
  consumerKey: 'canary-consumer-key',
}

export type Route = (body: unknown, request: IncomingMessage, response: ServerResponse) => unknown

export interface TestApi {
  endpoint: string
  server: Server
  /** `METHOD /path`, in the order in which they came; `/auth/time` left out. */
  calls: string[]
  close(): Promise<void>
}

/**
 * Serves the routes by `METHOD /path` below `/1.0`. What a route returns is the answer's JSON; undefined: it has answered
 * itself. A call without a route or with a wrong signature gets the API's error shape.
 */
export async function testApi(routes: Record<string, Route>): Promise<TestApi> {
  const calls: string[] = []
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await text(request)
    const path = (request.url ?? '').replace(/^\/1\.0/, '')
    const name = `${request.method} ${path}`
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (name === 'GET /auth/time') return json(200, Math.floor(Date.now() / 1000))
    calls.push(name)
    if (!isSigned(request, `${endpoint}${path}`, body)) return json(400, { message: 'Invalid signature' })
    const route = routes[name]
    if (route === undefined)
      return json(404, {
        errorCode: 'NOT_FOUND',
        message: 'This does not exist.',
        details: { cause: 'There is no such thing.', remedy: 'Name another.' },
      })
    const result = route(body === '' ? undefined : JSON.parse(body), request, response)
    return result === undefined ? undefined : json(200, result)
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/1.0`
  return {
    endpoint,
    server,
    calls,
    close: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

export function isSigned(request: IncomingMessage, url: string, body: string): boolean {
  const { applicationSecret, consumerKey } = keys
  const timestamp = String(request.headers['x-ovh-timestamp'])
  const method = request.method ?? ''
  const right = ovhSignature({ applicationSecret, consumerKey, method, url, body, timestamp })
  return (
    request.headers['x-ovh-signature'] === right &&
    request.headers['x-ovh-application'] === keys.applicationKey &&
    request.headers['x-ovh-consumer'] === consumerKey
  )
}

export interface Ran {
  status: number
  stdout: string
  stderr: string
}

/** Runs one command line within this process, as `main.ts` does, with the keys in the environment. */
export async function byoi(
  args: string[],
  env: Record<string, string> = {},
  change: Partial<Context> = {},
): Promise<Ran> {
  const ran: Ran = { status: 0, stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') =>
    ({
      isTTY: false,
      write: (piece: string) => ((ran[name] += piece), true),
    }) as unknown as NodeJS.WriteStream
  const context: Context = {
    env,
    home: '/nonexistent',
    stdin: { isTTY: false } as Context['stdin'],
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    interruptible: () => new AbortController().signal,
    ...change,
  }
  try {
    await makeProgram(context).parseAsync(args, { from: 'user' })
  } catch (error) {
    const ofCommander = error instanceof CommanderError
    ran.status = ofCommander ? (error.exitCode === 0 ? 0 : 2) : showError(error, context)
  }
  return ran
}

export const environment = (endpoint: string): Record<string, string> => ({
  OVH_ENDPOINT: endpoint,
  OVH_APPLICATION_KEY: keys.applicationKey,
  OVH_APPLICATION_SECRET: keys.applicationSecret,
  OVH_CONSUMER_KEY: keys.consumerKey,
})

export const view = (changes: Partial<DeploymentView> = {}): DeploymentView => ({
  id: 'd-1',
  serviceName: 'ns1.example.test',
  kind: 'deploy',
  state: 'open',
  phase: 'write',
  epoch: 1,
  description: null,
  image: { url: 'https://images.example.test/a.qcow2?***', type: 'qcow2' },
  bytesDone: 512,
  bytesTotal: 1024,
  bytesPerSecond: 256,
  secondsLeft: 2,
  percent: 50,
  disk: 'unbootable',
  checksum: null,
  error: null,
  hold: null,
  booted: null,
  rescue: null,
  steps: [],
  notes: [],
  log: [],
  createdAt: '2026-11-24T00:00:00Z',
  updatedAt: '2026-11-24T00:00:01Z',
  endedAt: null,
  ...changes,
})
