import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import type { Context } from '../context.ts'
import { printRescue, untilForgotten } from '../rescue.ts'
import { printJson } from '../print.ts'

interface DeleteOptions extends ApiOptions {
  wait?: boolean
  json?: boolean
}

export function addDelete(program: Command, context: Context): void {
  const command = program
    .command('delete')
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
  if (options.wait) {
    await untilForgotten(client, service, options, context)
    return await printRescue(client, service, options, context)
  }
  if (options.json) printJson({ status: 'doing', servername: service }, context)
  else context.stdout.write(`${service} is being put into rescue.\n`)
}
