import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeployOrder, RescueOrder } from '@byoi/contract'
import type { EfiBoot } from '@byoi/imaging'
import type { AgentServer } from '../agent-server.ts'
import { type Log, sentenceOf } from '../log.ts'
import { matchDisk } from '../match-disk.ts'
import { writeBootEntry } from './boot-entry.ts'
import { globalVariables } from './efivars.ts'
import { readMachine } from './machine.ts'
import { messageOfTheDay } from './message-of-the-day.ts'
import { bootableDisks, otherDiskNotes } from './other-disks.ts'
import { findServerDisks } from './server-disks.ts'
import { startSshServer } from './ssh-server.ts'

/** Long enough for an operator to mend a BMC that does not cycle the server; then it is turned off. In ms. */
const staysMs = 60 * 60_000

const home = '/root'
const motd = '/etc/motd'
const hostname = '/proc/sys/kernel/hostname'
/** In characters; what is longer the kernel cuts (uname(2)). */
const longestHostname = 64

export interface RamServerOptions {
  /** The server's name. */
  name: string
  /** Where sysfs is mounted. */
  sysfs: string
  /** A directory in RAM for files of running programs. */
  directory: string
  log: Log
  /** Ends what runs beside the agent. */
  signal: AbortSignal
}

/** The machine that this agent runs in the RAM of. */
export async function ramServer(options: RamServerOptions): Promise<AgentServer> {
  const { disks, findings } = await findServerDisks(options.sysfs)
  const machine = await readMachine(options.sysfs)
  const efivars = join(options.sysfs, 'firmware/efi/efivars')

  const afterPublish = async (order: DeployOrder, boot: EfiBoot | null): Promise<string[]> => {
    const targets = [order.disk, ...order.mirrors].map((wanted) => matchDisk(disks, wanted)?.path)
    const others = disks.filter(({ path }) => !targets.includes(path))
    const started = machine.firmware === order.boot ? [] : [otherFirmware(machine.firmware, order.boot)]
    const entry =
      boot === null || machine.firmware !== 'uefi' ? [] : await bootEntryNotes(efivars, boot, options.log)
    return [...started, ...entry, ...(await otherDiskNotes(others, order.boot))]
  }

  const startRescue = async ({ sshKey }: RescueOrder) => {
    const { name, directory, log, signal } = options
    await writeFile(motd, messageOfTheDay(name, disks))
    // For the prompt: nobody should take this for the server's own system.
    await writeFile(hostname, `rescue.${name}`.slice(0, longestHostname))
    if (sshKey === null) {
      log('The order brings no SSH key: nobody can log in.')
      return { hostKeys: [], addresses: [] }
    }
    return startSshServer({ authorizedKey: sshKey, home, directory, log, signal })
  }

  return {
    disks,
    machine,
    afterPublish,
    startRescue,
    findings: async () => [...findings, ...(disks.length > 1 ? await bootableDisks(disks) : [])],
    staysMs,
  }
}

const otherFirmware = (started: string, recorded: string): string =>
  `The agent was started by ${started} firmware, while the server's record says ${recorded}: the disk may not boot until the firmware, or the record, is changed.`

/** Nothing where it went well: the log tells. The default loader, and the control plane's own choice of the disk, remain. */
async function bootEntryNotes(efivars: string, boot: EfiBoot, log: Log): Promise<string[]> {
  try {
    const name = await writeBootEntry(globalVariables(efivars), boot)
    log(`The firmware starts ${boot.loader} first, by its boot entry ${name}.`)
    return []
  } catch (error) {
    return [`The firmware did not take a boot entry for ${boot.loader}: ${sentenceOf(error)}`]
  }
}
