import type { Command } from 'commander'
import { UsageError } from '../usage-error.ts'

/** The launcher `./byoi` starts the lab itself; here the command only has its line in the help. */
export function addLab(program: Command): void {
  program
    .command('lab')
    .description('virtual dedicated servers on this machine; see byoi lab --help')
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new UsageError('Start the lab with ./byoi lab up at the root of the checkout.')
    })
}
