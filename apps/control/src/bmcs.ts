import { randomBytes } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bmc, BmcError, type BmcIdentity, createLocalDisk, isLocalDisk, LocalBmc } from '@byoi/bmc'
import { type ServerCheck } from '@byoi/contract'
import { type ServerRow } from './deployments/workflow-context.ts'
import { type NewServer } from './http/ports.ts'

type Settings = NewServer['bmc']['settings']

export interface BmcEnvironment {
  /** Directory in which each file-backed server that is added gets a directory for its state. */
  servers: string
  agentCommand: readonly string[]
  /** All of the environment that agents on this machine get. */
  agentEnvironment: Record<string, string>
}

/** What a file-backed server needs to know of its disk. */
interface LocalSettings {
  disk: string
  serial: string
  sectorSize: 512 | 4096
  /** Directory. Chosen when the server is added, so that all replicas on this machine use the same. */
  state: string
}

/** The BMC of a server, by its kind. Settings were checked by `prepareServer` when the server was added. */
export function openBmc(environment: BmcEnvironment, server: ServerRow): Bmc {
  const settings = localSettings(server.bmc_settings, server.disk_groups)
  if (server.bmc_kind !== 'local' || typeof settings === 'string') {
    throw new Error(`The BMC of ${server.service_name} cannot be opened.`)
  }
  return new LocalBmc({
    state: settings.state,
    agentCommand: environment.agentCommand,
    disk: { path: settings.disk, serial: settings.serial, sectorSize: settings.sectorSize },
    environment: environment.agentEnvironment,
  })
}

/** Makes what a new server needs. Returns its settings as they are stored, or one sentence when they cannot work. */
export async function prepareServer(
  environment: BmcEnvironment,
  server: NewServer,
): Promise<Settings | string> {
  if (server.bmc.kind !== 'local') return `There is no BMC of kind ${server.bmc.kind}; byoi knows local.`
  // A name of its own: a server that is added again under an old name has nothing of its predecessor.
  const state = join(environment.servers, `${server.serviceName}-${randomBytes(6).toString('hex')}`)
  const settings = localSettings({ ...server.bmc.settings, state }, server.diskGroups)
  if (typeof settings === 'string') return settings
  const disk = server.diskGroups[0]?.disks[0]
  if (disk === undefined) return 'A server needs a disk.'
  if (disk.size % settings.sectorSize !== 0) {
    return `The disk's size is not a whole number of sectors of ${settings.sectorSize} bytes.`
  }
  try {
    await createLocalDisk(settings.disk, disk.size)
    // Its one true name, by which a second server on the same disk is known.
    return { ...server.bmc.settings, disk: await realpath(settings.disk), state }
  } catch (error) {
    return (error as Error).message
  }
}

/** Asks a server's BMC what it can tell. Changes nothing, neither on the server nor in what is known of it. */
export async function checkServer(
  environment: BmcEnvironment,
  server: ServerRow,
  timeoutMs: number,
): Promise<ServerCheck> {
  const bmc = openBmc(environment, server)
  const problems = new Set<string>()
  const ask = async <T>(read: (signal: AbortSignal) => Promise<T>): Promise<T | null> => {
    try {
      return await read(AbortSignal.timeout(timeoutMs))
    } catch (error) {
      problems.add(problemOf(error))
      return null
    }
  }
  const power = await ask((signal) => bmc.readPower(signal))
  const bootDevice = await ask((signal) => bmc.readBootDevice(signal))
  await ask(() => checkDisk(server))
  await bmc.close()
  const identity = await ask((signal) => bmc.identify(signal))
  for (const weakness of identity?.weaknesses ?? []) problems.add(weakness)
  return { identity: identity && shown(identity), power, bootDevice, problems: [...problems] }
}

const shown = ({ vendor, model, firmware, serial }: BmcIdentity) => ({ vendor, model, firmware, serial })

async function checkDisk({ bmc_settings, disk_groups }: ServerRow): Promise<void> {
  const settings = localSettings(bmc_settings, disk_groups)
  const size = disk_groups[0]?.disks[0]?.size
  if (typeof settings === 'string' || size === undefined || (await isLocalDisk(settings.disk, size))) return
  throw new Error(`The disk file ${settings.disk} is not there.`)
}

/** Sentences of the drivers: they hold nothing secret. */
function problemOf(error: unknown): string {
  if (error instanceof BmcError) return `${error.message} ${error.remedy}`
  return error instanceof Error && error.name === 'TimeoutError'
    ? 'The BMC did not answer in time. Check its address and its network.'
    : (error as Error).message
}

/** A string is the reason why they cannot work. */
function localSettings(settings: Settings, diskGroups: NewServer['diskGroups']): LocalSettings | string {
  const { disk, sectorSize = 512, state } = settings
  const found = diskGroups[0]?.disks[0]
  if (typeof disk !== 'string' || !disk.startsWith('/')) return 'The setting disk must be an absolute path.'
  if (typeof state !== 'string') return 'The setting state is missing.'
  if (sectorSize !== 512 && sectorSize !== 4096) return 'The setting sectorSize must be 512 or 4096.'
  if (found === undefined || diskGroups.length !== 1 || diskGroups[0]?.disks.length !== 1) {
    return 'A file-backed server has one disk group with one disk.'
  }
  const { serial = found.serial, size = found.size } = settings
  if (serial !== found.serial || size !== found.size) {
    return 'The settings serial and size must be those of the disk in the disk group.'
  }
  return { disk, serial: found.serial, sectorSize, state }
}
