import { openExtTree, openFatTree, type FileTree } from '../filesystem/file-tree.ts'
import type { PieceReader } from '../filesystem/piece-reader.ts'
import { identifyVolume, type VolumeIdentity } from '../filesystem/superblocks.ts'
import { Volume, VolumeFault } from '../filesystem/volume.ts'
import type { PartitionSummary, TableSummary } from '../table/boot-areas.types.ts'
import { configLabel } from '../table/config-partition.ts'
import { unlessUnseen } from '../table/image-reader.ts'
import { isContainer, partitionTypeName } from '../table/partition-types.ts'
import { findCloudInit } from './cloud-init.ts'
import type { CloudInit, InspectedPartition, KernelConsoles } from './inspection.types.ts'
import { findConsoles } from './kernel-consoles.ts'

/** Partitions whose file systems are looked for, and into. */
const MOST_PARTITIONS = 64
const MOST_TREES = 16

export interface Contents {
  partitions: InspectedPartition[]
  /** Of an image without a partition table. */
  fileSystem: VolumeIdentity | null
  consoles: KernelConsoles[]
  cloudInit: CloudInit | null
  configPartition: number | null
}

/** A volume with the number of its partition; 0: the whole image. */
interface Looked {
  number: number
  identity: VolumeIdentity | null
  tree: FileTree | null
  fault: string | null
}

/** What the partitions hold, or the whole image of `imageSize` bytes where it has none. Nothing in them is an error. */
export async function lookInto(
  pieces: PieceReader,
  table: TableSummary,
  imageSize: number,
): Promise<Contents> {
  const whole: PartitionSummary = { number: 0, offset: 0, length: imageSize, type: '', name: '' }
  const volumes = table.kind === 'none' ? [whole] : table.partitions
  const looked: Looked[] = []
  for (const [index, { number, offset, length, type }] of volumes.entries()) {
    const isLookedAt = index < MOST_PARTITIONS && !isContainer(type)
    looked.push(
      isLookedAt
        ? await lookAt(number, () => new Volume(pieces, offset, length))
        : { number, identity: null, tree: null, fault: null },
    )
  }
  const partitions = table.partitions.map(
    (partition, index): InspectedPartition => ({
      ...partition,
      typeName: partitionTypeName(partition.type),
      fileSystem: looked[index]?.identity ?? null,
      notLookedInto: looked[index]?.fault ?? null,
    }),
  )
  const configDrive = partitions.find(
    ({ name, fileSystem }) => isConfigName(name) || isConfigName(fileSystem?.label),
  )
  return {
    partitions,
    fileSystem: table.kind === 'none' ? (looked[0]?.identity ?? null) : null,
    ...(await hintsOf(looked)),
    configPartition: configDrive?.number ?? null,
  }
}

const isConfigName = (name: string | null | undefined): boolean => name?.toLowerCase() === configLabel

/** `volume` makes a volume with a budget of its own for each look. */
async function lookAt(number: number, volume: () => Volume): Promise<Looked> {
  const identity = (await unlessUnseen(identifyVolume(volume()))) ?? null
  const { type } = identity ?? {}
  const opened: { tree: FileTree | null; fault: string | null } = { tree: null, fault: null }
  if (type === undefined || type === 'swap') return { number, identity, ...opened }
  const open = type.startsWith('ext') ? openExtTree : type.startsWith('fat') ? openFatTree : null
  if (open === null) return { number, identity, tree: null, fault: type }
  try {
    opened.tree = (await unlessUnseen(open(volume()))) ?? null
  } catch (error) {
    if (!(error instanceof VolumeFault)) throw error
    opened.fault = `the file system ${error.message}`
  }
  return { number, identity, ...opened }
}

async function hintsOf(looked: Looked[]): Promise<Pick<Contents, 'consoles' | 'cloudInit'>> {
  const consoles: KernelConsoles[] = []
  let cloudInit: CloudInit | null = null
  const trees = looked.filter(({ tree }) => tree !== null).slice(0, MOST_TREES)
  for (const { number: partition, identity, tree } of trees) {
    if (tree === null) continue
    const found = await unlessUnseen(findConsoles(tree))
    consoles.push(...(found ?? []).map((each) => ({ partition, ...each })))
    if (cloudInit !== null || !identity?.type.startsWith('ext')) continue
    const cloud = await unlessUnseen(findCloudInit(tree))
    cloudInit = cloud ? { partition, ...cloud } : null
  }
  return { consoles, cloudInit }
}
