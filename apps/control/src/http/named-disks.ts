import { type DiskGroup } from './ports.ts'

type Disk = DiskGroup['disks'][number]

/** The disks with these serial numbers or WWNs, in this order; null where a name is that of no disk or of several, or two are of one. */
export function namedDisks(groups: readonly DiskGroup[], names: readonly string[]): Disk[] | null {
  const all = groups.flatMap((group) => group.disks)
  const found = names.map((name) => all.filter(({ serial, wwn }) => serial === name || wwn === name))
  const disks = found.flatMap((each) => (each.length === 1 ? each : []))
  return new Set(disks).size === names.length ? disks : null
}
