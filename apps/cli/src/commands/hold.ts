import { type HoldDecision, holdDecisions } from '@byoi/contract'
import { Argument, type Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import type { Context } from '../context.ts'

export function addHold(program: Command, context: Context): void {
  const hold = program.command('hold').description('deployments that wait for an operator')
  const resolve = hold
    .command('resolve')
    .description('continue: there is evidence now, look again; fail: give up, end in error')
    .argument('<id>', "the deployment's id")
    .addArgument(new Argument('<decision>', 'what to do').choices([...holdDecisions]))
  withApi(resolve, '--endpoint').action(async (id: string, decision: HoldDecision, options: ApiOptions) => {
    await connect(options, context).resolveHold(id, decision)
    context.stdout.write(`Deployment ${id}: ${decision}.\n`)
  })
}
