import type { Command } from 'commander'
import { UsageError } from '../usage-error.ts'

/** The launcher `./byoi` starts the control plane itself; here the command only has its line in the help. */
export function addUp(program: Command): void {
  program
    .command('up')
    .description('start the control plane; see byoi up --help')
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new UsageError('Start the control plane with ./byoi up at the root of the checkout.')
    })
}
