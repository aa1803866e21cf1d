import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../../api-options.ts'
import type { Context } from '../../context.ts'
import { addAdd } from './add.ts'
import { addServerInspect } from './inspect.ts'
import { addSet } from './set.ts'
import { addLooks } from './show.ts'

export function addServer(program: Command, context: Context): void {
  const server = program.command('server').description('the fleet; for operators')
  addAdd(server, context)
  addSet(server, context)
  addLooks(server, context)
  addServerInspect(server, context)

  const remove = server.command('remove').description('remove a server; its disk is kept').argument('<name>')
  withApi(remove, '--url').action(async (name: string, options: ApiOptions) => {
    await connect(options, context).removeServer(name)
    context.stdout.write(`Removed ${name}.\n`)
  })
}
