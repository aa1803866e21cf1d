import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiskFacts } from '@byoi/contract'
import { isSectorSize } from '../disks.ts'
import { diskName } from '../match-disk.ts'
import { type SysfsDisk, readSysfsDisk } from '../sysfs-disk.ts'

/** What the protocol takes. */
const mostDisks = 256

/** Whole disks by their kernel names. Others are CD drives, or made of disks, files or RAM. */
const diskNames = /^(?:nvme\d+n\d+|sd[a-z]+|vd[a-z]+)$/

export interface ServerDisks {
  disks: DiskFacts[]
  /** What is odd about them, and what was left out, a sentence each. */
  findings: string[]
}

/** All disks of this server, by sysfs, sorted by name. Opens none of them. */
export async function findServerDisks(sysfs: string): Promise<ServerDisks> {
  const names = (await readdir(join(sysfs, 'class/block'))).filter((name) => diskNames.test(name)).sort()
  const all = await Promise.all(names.map((name) => readSysfsDisk(sysfs, name)))
  const present = all.filter((disk) => disk.size > 0 && !disk.hidden && !isMedium(disk))
  const usable = present.filter((disk): disk is SysfsDisk & DiskFacts => isSectorSize(disk.sectorSize))
  return {
    disks: usable.slice(0, mostDisks).map(factsOf),
    findings: [...present.flatMap(oddities), ...twins(usable)],
  }
}

/** What a person or the BMC has put in: it comes and goes, and the server does not live on it. */
const isMedium = ({ removable, readOnly, transport }: SysfsDisk): boolean =>
  removable || (readOnly && transport === 'usb')

const factsOf = ({ path, serial, wwn, size, sectorSize, rotational, transport }: DiskFacts): DiskFacts => ({
  path,
  serial,
  wwn,
  size,
  sectorSize,
  rotational,
  transport,
})

function oddities(disk: SysfsDisk): string[] {
  const { path, serial, wwn, sectorSize } = disk
  const name = `The disk ${path} (${diskName(disk)})`
  return [
    ...(isSectorSize(sectorSize)
      ? []
      : [`${name} has sectors of ${sectorSize} bytes: it is left out until it is formatted to 512 or 4096.`]),
    ...(disk.readOnly ? [`${name} is read-only: nothing can be deployed to it.`] : []),
    ...(serial === '' && wwn === null
      ? [`${name} cannot be told from another one: nothing can be deployed to it.`]
      : []),
  ]
}

/** Two paths to one disk, or two disks that answer to one name: an order that names them means no single disk. */
function twins(disks: DiskFacts[]): string[] {
  const named = disks.filter(({ serial, wwn }) => serial !== '' || wwn !== null)
  const groups = Map.groupBy(named, ({ serial, wwn, size }) => JSON.stringify([serial, wwn, size]))
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => {
      const paths = group.map(({ path }) => path).join(' and ')
      const [first] = group as [DiskFacts]
      return `${paths} answer to the same name (${diskName(first)}): nothing can be deployed to them.`
    })
}
