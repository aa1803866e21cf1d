import { join } from 'node:path'
import { type Bmc, createLocalDisk, LocalBmc } from '@byoi/bmc'
import { type ServerRow } from './deployments/workflow-context.ts'
import { type NewServer } from './http/ports.ts'

export interface BmcEnvironment {
  /** Directory that holds a directory of state per file-backed server. */
  servers: string
  agentCommand: readonly string[]
  path: string
}

/** What a file-backed server needs to know of its disk. */
interface LocalSettings {
  disk: string
  serial: string
  sectorSize: 512 | 4096
}

/** The BMC of a server, by its kind. Settings were checked by `prepareServer` when the server was added. */
export function openBmc(environment: BmcEnvironment, server: ServerRow): Bmc {
  const settings = localSettings(server.bmc_settings, server.disk_groups)
  if (server.bmc_kind !== 'local' || typeof settings === 'string') {
    throw new Error(`The BMC of ${server.service_name} cannot be opened.`)
  }
  return new LocalBmc({
    // By id: a server that is added again under an old name has nothing of its predecessor.
    state: join(environment.servers, `${server.service_name}-${server.id}`),
    agentCommand: environment.agentCommand,
    disk: { path: settings.disk, serial: settings.serial, sectorSize: settings.sectorSize },
    path: environment.path,
  })
}

/** Makes what a new server needs. Returns one sentence when its settings cannot work, else null. */
export async function prepareServer(server: NewServer): Promise<string | null> {
  if (server.bmc.kind !== 'local') return `There is no BMC of kind ${server.bmc.kind}; byoi knows local.`
  const settings = localSettings(server.bmc.settings, server.diskGroups)
  if (typeof settings === 'string') return settings
  const disk = server.diskGroups[0]?.disks[0]
  if (disk === undefined) return 'A server needs a disk.'
  if (disk.size % settings.sectorSize !== 0) {
    return `The disk's size is not a whole number of sectors of ${settings.sectorSize} bytes.`
  }
  try {
    await createLocalDisk(settings.disk, disk.size)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** A string is the reason why they cannot work. */
function localSettings(
  settings: NewServer['bmc']['settings'],
  diskGroups: NewServer['diskGroups'],
): LocalSettings | string {
  const { disk, sectorSize = 512 } = settings
  const found = diskGroups[0]?.disks[0]
  if (typeof disk !== 'string' || !disk.startsWith('/')) return 'The setting disk must be an absolute path.'
  if (sectorSize !== 512 && sectorSize !== 4096) return 'The setting sectorSize must be 512 or 4096.'
  if (found === undefined || diskGroups.length !== 1 || diskGroups[0]?.disks.length !== 1) {
    return 'A file-backed server has one disk group with one disk.'
  }
  const { serial = found.serial, size = found.size } = settings
  if (serial !== found.serial || size !== found.size) {
    return 'The settings serial and size must be those of the disk in the disk group.'
  }
  return { disk, serial: found.serial, sectorSize }
}
