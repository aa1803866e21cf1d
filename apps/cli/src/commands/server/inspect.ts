import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../../api-options.ts'
import type { Context } from '../../context.ts'
import { followToEnd } from '../../deployment.ts'
import { printJson } from '../../print.ts'
import { printServer } from './show.ts'

interface InspectOptions extends ApiOptions {
  wait?: boolean
  json?: boolean
}

export function addServerInspect(server: Command, context: Context): void {
  const inspect = server
    .command('inspect')
    .description(
      'start the agent on a server to tell what it is; its disks are not changed, but it is restarted',
    )
    .argument('<name>')
    .option('--wait', 'wait for the end, and show what was found')
    .option('--json', 'print the result as JSON')
  withApi(inspect, '--url').action((name: string, options: InspectOptions) =>
    inspectOne(name, options, context),
  )
}

async function inspectOne(name: string, options: InspectOptions, context: Context): Promise<void> {
  const client = connect(options, context)
  const { id } = await client.inspectServer(name)
  if (!options.wait) {
    if (options.json) printJson({ id }, context)
    else context.stdout.write(`Inspecting ${name} as ${id}.\n`)
    return
  }
  await followToEnd(client, await client.deploymentById(id), { json: options.json ?? false }, context)
  if (!options.json) printServer(await client.showServer(name), context)
}
