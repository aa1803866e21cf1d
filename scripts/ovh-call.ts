/**
 * One call through OVHcloud's unmodified npm client, as its own process: the client takes a private CA only from
 * NODE_EXTRA_CA_CERTS, which Node reads when it starts. Keys travel over standard input.
 */
import { text } from 'node:stream/consumers'
import { tryCommand } from './run-command.ts'

/** What `byoi key create --json` prints. */
export interface ApiKey {
  endpoint: string
  applicationKey: string
  applicationSecret: string
  consumerKey: string
}

/** `status` is the HTTP status of a refusal; the client does not tell which 2xx it was. */
export type OvhAnswer = { ok: true; body: unknown } | { ok: false; status: number | string; message: string }

interface Call {
  key: ApiKey
  method: string
  path: string
  body?: unknown
}

/**
 * Calls `https://HOST:PORT` of `url` (the client knows no plain HTTP).
 * @param ca Path of the control plane's CA certificate, PEM.
 */
export async function ovhCall(url: string, ca: string, call: Call): Promise<OvhAnswer> {
  const { hostname, port } = new URL(url)
  const { status, stdout, stderr } = await tryCommand(process.execPath, [import.meta.filename], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: ca },
    input: JSON.stringify({ hostname, port: Number(port), ...call }),
  })
  if (status !== 0) throw new Error(`the ovh client ended with status ${status}: ${stderr}`)
  return JSON.parse(stdout.toString()) as OvhAnswer
}

if (import.meta.main) {
  const { default: ovh } = await import('ovh')
  const input = JSON.parse(await text(process.stdin)) as Call & { hostname: string; port: number }
  const client = ovh({
    host: input.hostname,
    port: input.port,
    appKey: input.key.applicationKey,
    appSecret: input.key.applicationSecret,
    consumerKey: input.key.consumerKey,
  })
  const answer: OvhAnswer = await client.requestPromised(input.method, input.path, input.body).then(
    (body) => ({ ok: true, body }),
    (refusal: { error: number | string; message: string }) => ({
      ok: false,
      status: refusal.error,
      message: refusal.message,
    }),
  )
  process.stdout.write(JSON.stringify(answer))
}
