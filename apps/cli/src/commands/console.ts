import { once } from 'node:events'
import { type ByoiClient, PlainTerminalText } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import { LiveConnection } from '../console/live-console.ts'
import { RawTerminal } from '../console/terminal.ts'
import type { Context } from '../context.ts'
import { UsageError } from '../usage-error.ts'

interface ConsoleOptions extends ApiOptions {
  readOnly?: boolean
  /** true: with the server's newest deployment. */
  recorded?: string | true
  raw?: boolean
}

export function addConsole(program: Command, context: Context): void {
  const command = program
    .command('console')
    .description("a server's serial console; Ctrl-] leaves. Without a terminal it only prints what is shown")
    .argument('<service>', "the server's name")
    .option('--read-only', 'look, and type nothing')
    .option('--recorded [deployment]', 'print what was recorded with a deployment; default: the newest one')
    .option('--raw', 'print the bytes as they are; default: without what controls a terminal')
  withApi(command, '--endpoint').action((service: string, options: ConsoleOptions) =>
    options.recorded === undefined
      ? live(service, options, context)
      : recorded(service, options.recorded, options, context),
  )
}

async function live(service: string, options: ConsoleOptions, context: Context): Promise<void> {
  const client = connect(options, context)
  if (context.stdin.isTTY && context.stdout.isTTY) await onTerminal(client, service, options, context)
  else await intoPipe(client, service, options, context)
}

async function onTerminal(
  client: ByoiClient,
  service: string,
  options: ConsoleOptions,
  context: Context,
): Promise<void> {
  const left = new AbortController()
  const signal = AbortSignal.any([left.signal, context.interruptible()])
  const say = (sentence: string) => context.stderr.write(`\r\n[byoi: ${sentence}]\r\n`)
  const readonly = options.readOnly === true
  const show = async (bytes: Uint8Array) => await write(context.stdout, bytes)
  const live = new LiveConnection({ client, serviceName: service, readonly, show, say, signal })
  const type = (keys: Uint8Array) => live.type(keys)
  const terminal = new RawTerminal(context, readonly ? () => undefined : type, () => left.abort())
  try {
    say(`${service}; Ctrl-] leaves.`)
    await live.run()
  } finally {
    terminal.close()
  }
}

/** Until it is interrupted. */
async function intoPipe(
  client: ByoiClient,
  service: string,
  { raw }: ConsoleOptions,
  context: Context,
): Promise<void> {
  const text = new PlainTerminalText()
  const show = async (bytes: Uint8Array) =>
    await write(context.stdout, raw ? bytes : text.push(bytes).replaceAll('\r', '\n'))
  const say = (sentence: string) => context.stderr.write(`[byoi: ${sentence}]\n`)
  const signal = context.interruptible()
  await new LiveConnection({ client, serviceName: service, readonly: true, show, say, signal }).run()
}

async function recorded(
  service: string,
  deployment: string | true,
  { raw, readOnly, ...options }: ConsoleOptions,
  context: Context,
): Promise<void> {
  if (readOnly) throw new UsageError('--recorded and --read-only exclude each other.')
  const client = connect(options, context)
  const id = deployment === true ? (await client.deployment(service)).id : deployment
  for await (const bytes of await client.serialRecording(id, { plain: raw !== true })) {
    await write(context.stdout, bytes)
  }
}

async function write(stdout: NodeJS.WriteStream, data: Uint8Array | string): Promise<void> {
  if (!stdout.write(data)) await once(stdout, 'drain')
}
