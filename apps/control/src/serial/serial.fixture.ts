/** Servers with a serial line that a test speaks for, on a control plane with a real database. */
import { type AddressInfo } from 'node:net'
import { type Bmc, type BmcError, type ConsoleSession, type SerialConsole } from '@byoi/bmc'
import { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import {
  account,
  type Bench,
  caller,
  eventually,
  openBench,
  type TestServer,
} from '../control-plane.fixture.ts'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { allRules, type TestKey } from '../http/memory-ports.fixture.ts'
import { testConfig } from '../http/http.fixture.ts'
import { type HttpConfig } from '../http/http-config.ts'
import { createHttp } from '../http/server.ts'

/** A serial line with room for one reader, as BMCs have it. What is said while nobody reads is lost, as there. */
export class TestLine implements SerialConsole {
  /** Thrown by the next sessions that are asked for, until it is null. */
  fault: BmcError | null = null
  /** How often a session was asked for, and how often there was one. */
  asked = 0
  opened = 0
  typed = ''
  #session: TestSession | null = null

  async openConsole(): Promise<ConsoleSession> {
    this.asked += 1
    if (this.fault !== null) throw this.fault
    this.#session?.end()
    const session = new TestSession((input) => {
      this.typed += Buffer.from(input).toString()
    })
    this.#session = session
    this.opened += 1
    void session.over.then(() => {
      if (this.#session === session) this.#session = null
    })
    return session
  }

  get isOpen(): boolean {
    return this.#session !== null
  }

  say(text: string | Uint8Array): void {
    this.#session?.put(typeof text === 'string' ? Buffer.from(text) : text)
  }

  /** As a power cycle does. */
  drop(error?: Error): void {
    this.#session?.end(error)
    this.#session = null
  }
}

class TestSession implements ConsoleSession {
  readonly over: Promise<void>
  readonly #type: (input: Uint8Array) => void
  readonly #waiting: Uint8Array[] = []
  readonly #ended = Promise.withResolvers<void>()
  #error: Error | undefined
  #isOver = false
  #wake: () => void = () => undefined

  constructor(type: (input: Uint8Array) => void) {
    this.#type = type
    this.over = this.#ended.promise
  }

  get output(): AsyncIterable<Uint8Array> {
    return this.#read()
  }

  put(bytes: Uint8Array): void {
    this.#waiting.push(bytes)
    this.#wake()
  }

  end(error?: Error): void {
    this.#error ??= error
    this.#isOver = true
    this.#ended.resolve()
    this.#wake()
  }

  async write(input: Uint8Array): Promise<void> {
    this.#type(input)
  }

  async close(): Promise<void> {
    this.end()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.#waiting.shift()
      if (next !== undefined) yield next
      else if (this.#error !== undefined) throw this.#error
      else if (this.#isOver) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

/** The same BMC with that console. */
export const withConsole = (bmc: Bmc, console: SerialConsole | null): Bmc => ({
  readPower: (signal) => bmc.readPower(signal),
  setPower: (to, signal) => bmc.setPower(to, signal),
  readBootDevice: (signal) => bmc.readBootDevice(signal),
  setBootDevice: (to, signal) => bmc.setBootDevice(to, signal),
  identify: (signal) => bmc.identify(signal),
  virtualMedia: bmc.virtualMedia,
  localMedium: bmc.localMedium,
  console,
  close: () => bmc.close(),
})

export interface SerialServer extends TestServer {
  line: TestLine
  id: number
}

export interface SerialBench extends Bench {
  addSerialServer(): Promise<SerialServer>
  /** From POST to done, with a line of the console in between where `during` says one. */
  deploy(server: SerialServer, during?: { agent?: string; system?: string }): Promise<string>
  recorded(deploymentId: string, from?: number): Promise<string>
}

export async function openSerialBench(
  settings: Partial<WorkflowContext['settings']> = {},
): Promise<SerialBench> {
  const bench = await openBench(settings)
  const lines = new Map<string, TestLine>()
  const { openBmc } = bench.context
  bench.context.openBmc = (row) =>
    withConsole(openBmc({ ...row, bmc_kind: 'local' }), lines.get(row.service_name) ?? null)

  const addSerialServer = async (): Promise<SerialServer> => {
    const server = await bench.addServer()
    const line = new TestLine()
    lines.set(server.name, line)
    // Any kind but local: the disk of a file-backed server never runs, so nothing is expected of its console.
    const row = await bench.db
      .updateTable('server')
      .set({ bmc_kind: 'scripted' })
      .where('service_name', '=', server.name)
      .returning('id')
      .executeTakeFirstOrThrow()
    return Object.assign(server, { line, id: row.id })
  }

  const deploy: SerialBench['deploy'] = async (server, during = {}) => {
    const before = (await server.current())?.epoch ?? 0
    const id = await server.start()
    const agent = await server.boots(before)
    await opened(server)
    server.line.say(during.agent ?? '')
    await agent.join()
    await agent.permit()
    await agent.published()
    await eventually('done', async () => (await server.current())?.state === 'done')
    server.line.say(during.system ?? '')
    return id
  }

  const recorded: SerialBench['recorded'] = async (id, from = 0) => {
    const recording = await bench.ports.serial.recording(id, from)
    let text = ''
    if (recording === null) return text
    for await (const { missing, data } of recording.parts) {
      text += (missing > 0 ? `<${missing}>` : '') + Buffer.from(data).toString('latin1')
    }
    return text
  }

  return { ...bench, addSerialServer, deploy, recorded }
}

export const opened = async (server: SerialServer): Promise<void> => {
  await eventually('the console to be open', async () => server.line.isOpen)
}

export interface SerialApi {
  app: FastifyInstance
  port: number
  log: string[]
  key(rules?: typeof allRules, of?: string): Promise<TestKey>
}

/** The API over HTTP, on the bench's own ports. */
export async function serveApi(
  bench: Bench,
  t: { after(fn: () => Promise<void>): void },
  config: Partial<HttpConfig> = {},
): Promise<SerialApi> {
  const log: string[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => log.push(line) })
  const app = createHttp({ ports: bench.ports, config: { ...testConfig, ...config }, logger })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  return {
    app,
    log,
    port: (app.server.address() as AddressInfo).port,
    key: async (rules = allRules, of = account) => {
      const made = await bench.ports.keys.create(
        { account: of, operator: false, rules, description: '', expiresInMs: null },
        caller,
      )
      return {
        applicationKey: made.applicationKey,
        applicationSecret: made.applicationSecret.reveal(),
        consumerKey: made.consumerKey.reveal(),
      }
    },
  }
}
