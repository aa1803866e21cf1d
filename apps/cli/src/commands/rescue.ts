import { ApiError, type ByoiClient } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import type { Context } from '../context.ts'
import { printRescue, untilForgotten, untilInRescue } from '../rescue.ts'
import { printJson } from '../print.ts'

interface RescueOptions extends ApiOptions {
  wait?: boolean
  json?: boolean
}

export function addRescue(program: Command, context: Context): void {
  const command = program
    .command('rescue')
    .description(
      'put a server into rescue, forgetting its deployment where it has one; log in with its rescueSshKey, or the one of the deployment',
    )
    .argument('<service>', "the server's name")
    .option('--wait', 'wait until the server is in rescue, and show how to reach it')
    .option('--json', 'print the result as JSON')
  withApi(command, '--endpoint').action((service: string, options: RescueOptions) =>
    rescue(service, options, context),
  )
}

async function rescue(service: string, options: RescueOptions, context: Context): Promise<void> {
  const client = connect(options, context)
  const forgotten = await forgetIfThere(client, service)
  const id = forgotten ? null : (await client.rescue(service)).id
  if (options.wait) {
    if (id === null) await untilForgotten(client, service, options, context)
    else await untilInRescue(client, id, options, context)
    return await printRescue(client, service, options, context)
  }
  if (options.json) printJson({ status: 'doing', servername: service }, context)
  else context.stdout.write(`${service} is being put into rescue.\n`)
}

/** False when there is no deployment to forget, or no such server: the next call tells which. */
async function forgetIfThere(client: ByoiClient, service: string): Promise<boolean> {
  try {
    await client.forget(service)
    return true
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false
    throw error
  }
}
