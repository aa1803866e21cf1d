import { randomBytes } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { createLocalDisk, isLocalDisk, LocalBmc } from '@byoi/bmc'
import { type DiskGroup } from '../http/ports.ts'
import {
  type BmcKind,
  type BmcServer,
  CannotWork,
  needed,
  onlySettings,
  type Settings,
  shownIdentity,
  textSetting,
} from './bmc-kind.ts'

/** What a file-backed server needs to know of its disk. */
interface LocalSettings {
  disk: string
  sectorSize: 512 | 4096
  /** Directory. Chosen when the server is added, so that all replicas on this machine use the same. */
  state: string
}

/** File-backed servers: the disk is a file on this machine, the agent a process. */
export const localKind: BmcKind = {
  open: ({ agentCommand, agentEnvironment }, { settings, diskGroups }) => {
    const { disk, sectorSize, state } = readSettings(settings)
    const { serial } = onlyDisk(settings, diskGroups)
    return new LocalBmc({
      state,
      agentCommand,
      disk: { path: disk, serial, sectorSize },
      environment: agentEnvironment,
    })
  },

  enrol: async (environment, server, signal) => {
    if (server.agentBoot !== null) throw new CannotWork('A file-backed server has no agentBoot.')
    // A name of its own: a server that is added again under an old name has nothing of its predecessor.
    const state = join(environment.servers, `${server.serviceName}-${randomBytes(6).toString('hex')}`)
    const settings = { ...server.settings, state }
    const { disk, sectorSize } = readSettings(settings)
    const { size } = onlyDisk(settings, server.diskGroups)
    if (size % sectorSize !== 0) {
      throw new CannotWork(`The disk's size is not a whole number of sectors of ${sectorSize} bytes.`)
    }
    await makeDisk(disk, size)
    // Its one true name, by which a second server on the same disk is known.
    const enrolled = { ...settings, disk: await realpath(disk) }
    const bmc = localKind.open(environment, { ...server, settings: enrolled })
    return { settings: enrolled, identity: shownIdentity(await bmc.identify(signal)) }
  },

  resource: (settings) => ({ what: 'disk', settings: { disk: readSettings(settings).disk } }),
  check: checkDisk,
}

async function makeDisk(path: string, size: number): Promise<void> {
  try {
    await createLocalDisk(path, size)
  } catch (error) {
    throw new CannotWork((error as Error).message)
  }
}

async function checkDisk({ settings, diskGroups }: BmcServer): Promise<void> {
  const { disk } = readSettings(settings)
  if (await isLocalDisk(disk, onlyDisk(settings, diskGroups).size)) return
  throw new CannotWork(`The disk file ${disk} is not there.`)
}

function readSettings(settings: Settings): LocalSettings {
  onlySettings(settings, ['disk', 'sectorSize', 'serial', 'size', 'state'])
  const disk = textSetting(settings, 'disk', /^\//, 'be an absolute path')
  const state = textSetting(settings, 'state', /^\//, 'be an absolute path')
  const { sectorSize = 512 } = settings
  if (sectorSize !== 512 && sectorSize !== 4096) {
    throw new CannotWork('The setting sectorSize must be 512 or 4096.')
  }
  return { disk: needed(disk, 'disk'), sectorSize, state: needed(state, 'state') }
}

function onlyDisk(settings: Settings, diskGroups: DiskGroup[]): { serial: string; size: number } {
  const disk = diskGroups[0]?.disks[0]
  if (disk === undefined || diskGroups.length !== 1 || diskGroups[0]?.disks.length !== 1) {
    throw new CannotWork('A file-backed server has one disk group with one disk.')
  }
  const { serial = disk.serial, size = disk.size } = settings
  if (serial !== disk.serial || size !== disk.size) {
    throw new CannotWork('The settings serial and size must be those of the disk in the disk group.')
  }
  return disk
}
