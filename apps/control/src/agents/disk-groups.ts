import { type DiskFacts } from '@byoi/contract'
import { type DiskGroup } from '../http/ports.ts'

/**
 * Disk groups as OVHcloud numbers them: disks of one kind and size are one group, the first group is the one to install on. Flash
 * comes before rotating disks, those before USB, and small before large. A disk without a serial number or WWN cannot be named and is
 * in no group.
 */
export function diskGroupsOf(disks: readonly DiskFacts[]): DiskGroup[] {
  const named = disks.filter(({ serial, wwn }) => serial !== '' || wwn !== null)
  const kinds = Map.groupBy(named, (disk) =>
    [disk.transport, disk.rotational, disk.size, disk.sectorSize].join(' '),
  )
  const ordered = [...kinds.values()].toSorted(
    ([a], [b]) => rank(a) - rank(b) || (a?.size ?? 0) - (b?.size ?? 0),
  )
  return ordered.map((group, index) => ({
    diskGroupId: index + 1,
    description: `${group.length} X Disk ${describe(group[0])}`,
    size: group.reduce((sum, { size }) => sum + size, 0),
    disks: group
      .toSorted((a, b) => (a.path < b.path ? -1 : 1))
      .map(({ serial, wwn, size }) => ({ serial, wwn, size })),
  }))
}

const rank = (disk: DiskFacts | undefined): number => {
  if (disk?.transport === 'usb') return 2
  return disk?.rotational === true && disk.transport !== 'virtio' ? 1 : 0
}

const describe = (disk: DiskFacts | undefined): string =>
  disk === undefined ? '' : `${disk.transport.toUpperCase()} ${Math.round(disk.size / 1e9)} GB`
