import type { Command } from 'commander'
import { UsageError } from '../usage-error.ts'

/** The launcher `./byoi` starts the ramdisk's builder itself; here the command only has its line in the help. */
export function addRamdisk(program: Command): void {
  program
    .command('ramdisk')
    .description('build what servers boot into RAM; see byoi ramdisk --help')
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new UsageError('Build the ramdisk with ./byoi ramdisk build at the root of the checkout.')
    })
}
