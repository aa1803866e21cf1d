import { ApiError, type ByoiClient, type DeploymentView } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import type { Context } from '../context.ts'
import { followToEnd, printView } from '../deployment.ts'
import { printJson } from '../print.ts'

interface StatusOptions extends ApiOptions {
  watch?: boolean
  booted?: boolean
  json?: boolean
}

export function addStatus(program: Command, context: Context): void {
  const command = program
    .command('status')
    .description("a server's newest deployment, or the rescue that it is in")
    .argument('<service>', "the server's name")
    .option('--watch', 'follow it to its end; exit status 1 unless that is done')
    .option('--booted', 'follow it until its system shows that it has booted; exit status 1 when it does not')
    .option('--json', 'print it as JSON')
  withApi(command, '--endpoint').action((service: string, options: StatusOptions) =>
    status(service, options, context),
  )
}

async function status(service: string, options: StatusOptions, context: Context): Promise<void> {
  const client = connect(options, context)
  const view = await newest(client, service)
  if (options.booted || (options.watch && view.endedAt === null))
    return followToEnd(client, view, options, context)
  if (options.json) printJson(view, context)
  else printView(view, context)
}

/** A deployment that was forgotten has left the server in rescue. */
async function newest(client: ByoiClient, service: string): Promise<DeploymentView> {
  try {
    return await client.deployment(service)
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error
    return await client.currentRescue(service).catch(() => {
      throw error
    })
  }
}
