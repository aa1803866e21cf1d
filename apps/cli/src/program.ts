import { Command } from 'commander'
import { addConsole } from './commands/console.ts'
import { addDelete } from './commands/delete.ts'
import { addDeploy } from './commands/deploy.ts'
import { addHold } from './commands/hold.ts'
import { addInspect } from './commands/inspect.ts'
import { addKey } from './commands/key.ts'
import { addLab } from './commands/lab.ts'
import { addNetboot } from './commands/netboot.ts'
import { addRamdisk } from './commands/ramdisk.ts'
import { addRescue } from './commands/rescue.ts'
import { addServer } from './commands/server/server.ts'
import { addSigningKey } from './commands/signing-key.ts'
import { addStatus } from './commands/status.ts'
import { addUp } from './commands/up.ts'
import { addWrite } from './commands/write.ts'
import type { Context } from './context.ts'

/** The whole command line. Errors are thrown, never answered with process.exit. */
export function makeProgram(context: Context): Command {
  const program = new Command('byoi')
    .description('Bring Your Own Image for bare metal: your disk image onto your server')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', '\nExit status: 0 done, 1 failed, 2 wrong usage.')
  addUp(program)
  addLab(program)
  addDeploy(program, context)
  addStatus(program, context)
  addDelete(program, context)
  addConsole(program, context)
  addRescue(program, context)
  addServer(program, context)
  addKey(program, context)
  addSigningKey(program, context)
  addHold(program, context)
  addNetboot(program, context)
  addRamdisk(program)
  addWrite(program, context)
  addInspect(program, context)
  return program
}
