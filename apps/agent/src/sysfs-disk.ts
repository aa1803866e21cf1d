import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiskFacts } from '@byoi/contract'
import { plainText, readBytes, readNumber, readText } from './sysfs.ts'

/** A whole disk as Linux describes it. */
export interface SysfsDisk extends Omit<DiskFacts, 'sectorSize'> {
  /** Bytes of a logical sector; one formatted for a storage array may have 520. */
  sectorSize: number
  readOnly: boolean
  removable: boolean
  /** One of several paths to an NVMe namespace, without a device node of its own. */
  hidden: boolean
}

/**
 * Reads `block/NAME` below `sysfs` (Documentation/ABI/stable/sysfs-block). Where each bus keeps serial number and WWN was looked up
 * on each: virtio and NVMe as text, SCSI and what is driven as SCSI (SATA, SAS, USB) in the page of its vital product data.
 */
export async function readSysfsDisk(sysfs: string, name: string): Promise<SysfsDisk> {
  const folder = join(sysfs, 'class/block', name)
  const transport = transportOf(name, await realpath(folder).catch(() => ''))
  const rotational = await readNumber(join(folder, 'queue/rotational'))
  const flag = async (attribute: string) => (await readNumber(join(folder, attribute))) === 1
  return {
    path: `/dev/${name}`,
    serial: (await serialOf(folder)) ?? '',
    wwn: (await readText(join(folder, 'wwid'))) ?? (await readText(join(folder, 'device/wwid'))),
    // In units of 512 bytes, whatever the sectors are.
    size: ((await readNumber(join(folder, 'size'))) ?? 0) * 512,
    sectorSize: (await readNumber(join(folder, 'queue/logical_block_size'))) ?? 0,
    // A virtio disk says 1 always.
    rotational: rotational === null || transport === 'virtio' ? null : rotational === 1,
    transport,
    readOnly: await flag('ro'),
    removable: await flag('removable'),
    hidden: await flag('hidden'),
  }
}

async function serialOf(folder: string): Promise<string | null> {
  return (
    (await readText(join(folder, 'device/serial'))) ??
    (await readText(join(folder, 'serial'))) ??
    unitSerialNumber(await readBytes(join(folder, 'device/vpd_pg80')))
  )
}

/** Unit serial number page: 80h in byte 1, length in bytes 2 and 3, then ASCII (SPC-4, section 7.8.15). */
function unitSerialNumber(page: Buffer | null): string | null {
  if (page === null || page.length < 4 || page[1] !== 0x80) return null
  const text = plainText(page.subarray(4, 4 + page.readUInt16BE(2)).toString('latin1'))
  return text === '' ? null : text
}

const byName: [RegExp, string][] = [
  [/^nvme/, 'nvme'],
  [/^vd/, 'virtio'],
  [/^loop/, 'loop'],
  [/^nbd/, 'nbd'],
]
/** What stands in the path of a SCSI disk's device: a USB bridge hides what is behind it, and so comes first. */
const byPath: [RegExp, string][] = [
  [/\/usb\d+\//, 'usb'],
  [/\/ata\d+\//, 'sata'],
  [/\/end_device-\d/, 'sas'],
  [/\/rport-\d/, 'fc'],
  [/\/session\d+\//, 'iscsi'],
  [/\/block\/sd[a-z]+$/, 'scsi'],
]

const transportOf = (name: string, devicePath: string): string =>
  byName.find(([pattern]) => pattern.test(name))?.[1] ??
  byPath.find(([pattern]) => pattern.test(devicePath))?.[1] ??
  'unknown'
