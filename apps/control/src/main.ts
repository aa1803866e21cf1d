import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { realClock } from '@byoi/bmc'
import { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { certificateNames, type Config, isAnyAddress, readConfig, urlHost } from './config.ts'
import { openControlPlane, portOf } from './control-plane.ts'
import { takeDataDirectory } from './data-directory.ts'
import { defaultSettings } from './deployments/settings.ts'
import { armFailpoint } from './failpoint.ts'
import { defaultHttpConfig } from './http/http-config.ts'
import { createHttp } from './http/server.ts'
import { listenForServers, warnOfProvisioning } from './netboot/listen.ts'
import { cannotListen, StartError } from './start-error.ts'
import { startPostgres } from './store/embedded-postgres.ts'
import { lastPort, writeOperatorFile } from './store/operator-credential.ts'
import { readMasterKey } from './store/secrets.ts'
import { readCertificates } from './tls/certificates.ts'

const agentMain = fileURLToPath(new URL('../../agent/src/main.ts', import.meta.url))

/** `byoi up`: from the arguments to a control plane that serves, and back when it is told to stop. */
async function up(config: Config): Promise<void> {
  const logger = pino({ level: config.logLevel, base: { pid: process.pid } }, pino.destination(2))
  const stops: (() => Promise<void>)[] = []
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) {
      await each().catch((error: unknown) => logger.error({ err: error }, 'a part could not be stopped'))
    }
  }
  const asked = stopSignal()
  try {
    await serve(config, logger, stops)
    logger.info({ signal: await asked }, 'stopping')
  } finally {
    await stop()
  }
}

/** Resolves when all listens. `stops` grows with what was started; the newest is to be stopped first. */
async function serve(config: Config, logger: pino.Logger, stops: (() => Promise<void>)[]): Promise<void> {
  const { path: data, release } = await takeDataDirectory(config.data)
  stops.push(release)
  const masterKey = await readMasterKey(join(data, 'keys'))
  const certificates = await readCertificates(join(data, 'tls'), certificateNames(config))
  const connection = await database(config, data, logger, stops)
  const controlPlane = await openControlPlane({
    connection,
    masterKey,
    settings: {
      ...defaultSettings,
      spoolBytes: config.spoolBytes,
      phoneHome: config.phoneHome,
      consoleKeepMs: config.consoleDays * 24 * 3_600_000,
      addressPolicy: {
        ...defaultSettings.addressPolicy,
        allow: config.allowAddresses,
        allowPrivate: config.allowPrivateAddresses,
      },
    },
    bmcs: {
      servers: join(data, 'servers'),
      // Young garbage of 16 MiB and more buys an agent no speed.
      agentCommand: [process.execPath, '--max-semi-space-size=1', agentMain],
      agentEnvironment: config.agentEnvironment,
      clock: realClock,
    },
    logger,
    caPem: certificates.caPem,
  })
  stops.push(controlPlane.stop)

  const http = { ...defaultHttpConfig, publicUrls: config.publicUrls }
  const { ports, agents } = controlPlane
  const tls = { key: certificates.key, cert: certificates.cert }
  const secure = createHttp({ ports, logger, config: { ...http, tls }, plugins: [agents] })
  await listen(secure, await settledPort(config.listen, data), stops)
  const plain = config.http === null ? null : createHttp({ ports, logger, config: http })
  if (plain !== null && config.http !== null) await listen(plain, config.http, stops)
  const provisioning =
    config.provisioning === null
      ? null
      : await listenForServers(config.provisioning, controlPlane.context, logger, stops)

  const url = `https://${urlHost(localHost(config.listen.host))}:${portOf(secure)}`
  const controlUrl = config.publicUrls.find((each) => each.startsWith('https:')) ?? url
  const agentUrl = config.agentUrl ?? controlUrl
  await controlPlane.start({ controlUrl, agentUrl, provisioning })
  if (provisioning !== null) await warnOfProvisioning(provisioning, agentUrl, logger)
  await writeOperatorFile(data, controlPlane.db, masterKey, { endpoint: url, ca: certificates.caPem })
  say(`To trust this control plane: export NODE_EXTRA_CA_CERTS=${join(data, 'tls', 'ca.pem')}`)
  const plainUrl =
    plain === null || config.http === null ? '' : ` http://${urlHost(config.http.host)}:${portOf(plain)}`
  if (provisioning !== null) say(`Servers boot from ${provisioning.url}`)
  say(`ready ${url}${plainUrl}`)
  logger.info({ url }, 'serving')
}

async function database(
  config: Config,
  data: string,
  logger: pino.Logger,
  stops: (() => Promise<void>)[],
): Promise<Parameters<typeof openControlPlane>[0]['connection']> {
  if (config.database !== null) return { connectionString: config.database }
  const postgres = await startPostgres(join(data, 'postgres'), logger)
  stops.push(postgres.stop)
  return postgres.connection
}

async function listen(
  app: FastifyInstance,
  { host, port }: Config['listen'],
  stops: (() => Promise<void>)[],
): Promise<void> {
  stops.push(async () => {
    // Open event streams would hold a graceful close for ever.
    app.server.closeAllConnections()
    await app.close()
  })
  await app.listen({ host, port }).catch((cause: NodeJS.ErrnoException) => {
    throw cannotListen({ host, port }, cause)
  })
}

/** Agents under way call the port of the last start: where any is right, that one is taken again if it is free. */
async function settledPort({ host, port }: Config['listen'], data: string): Promise<Config['listen']> {
  const last = port === 0 ? await lastPort(data) : null
  return { host, port: last !== null && (await isFree(host, last)) ? last : port }
}

async function isFree(host: string, port: number): Promise<boolean> {
  const probe = createServer()
  return await new Promise((resolve) => {
    probe.once('error', () => resolve(false))
    probe.listen(port, host, () => probe.close(() => resolve(true)))
  })
}

/** Where this machine reaches a listener on all addresses. */
const localHost = (host: string): string => (isAnyAddress(host) ? '127.0.0.1' : host)

/** Resolves with the first SIGINT or SIGTERM; the second ends the process at once. */
async function stopSignal(): Promise<NodeJS.Signals> {
  return await new Promise((resolve) => {
    let asked = false
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.on(name, () => {
        if (asked) process.exit(1)
        asked = true
        resolve(name)
      })
    }
  })
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const config = readConfig(process.argv.slice(2), process.env)
try {
  if (config.failpoint !== null) armFailpoint(config.failpoint)
  await up(config)
  process.exit(0)
} catch (error) {
  const remedy = error instanceof StartError ? ` ${error.remedy}` : ''
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ''
  process.stderr.write(
    `byoi up: ${error instanceof Error ? error.message : String(error)}${remedy}${cause}\n`,
  )
  process.exit(1)
}
