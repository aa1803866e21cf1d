import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError, type ByoiClient, type DeploymentView } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import { CommandFailed, type Context } from '../context.ts'
import { printView } from '../deployment.ts'
import { printJson } from '../print.ts'

interface DeleteOptions extends ApiOptions {
  wait?: boolean
  json?: boolean
}

const pollMs = 1000

export function addDelete(program: Command, context: Context): void {
  const command = program
    .command('delete')
    .alias('rescue')
    .description("forget a server's deployment, stopping it where it goes on, and put the server into rescue")
    .argument('<service>', "the server's name")
    .option('--wait', 'wait until the server is in rescue')
    .option('--json', 'print the result as JSON')
  withApi(command, '--endpoint').action((service: string, options: DeleteOptions) =>
    forget(service, options, context),
  )
}

async function forget(service: string, options: DeleteOptions, context: Context): Promise<void> {
  const client = connect(options, context)
  await client.forget(service)
  const stuck = options.wait ? await untilForgotten(client, service) : null
  if (stuck !== null) {
    if (options.json) printJson(stuck, context)
    else printView(stuck, context)
    throw new CommandFailed(stuck.state)
  }
  const status = options.wait ? 'rescue' : 'doing'
  if (options.json) printJson({ status, servername: service }, context)
  else
    context.stdout.write(
      options.wait ? `${service} is in rescue.\n` : `${service} is being put into rescue.\n`,
    )
}

/** Returns null once the deployment is forgotten, and its view where it cannot be without an operator. */
async function untilForgotten(client: ByoiClient, service: string): Promise<DeploymentView | null> {
  for (;;) {
    try {
      const view = await client.deployment(service)
      if (view.state === 'hold') return view
      if (view.endedAt !== null) return view.state === 'error' ? view : null
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.status === 404) return null
      if (error.status !== 0 && error.status < 500) throw error
    }
    await sleep(pollMs)
  }
}
