import type { DeployOrder, DiskFacts } from '@byoi/contract'

type Identity = DeployOrder['disk']

/**
 * The disk that the order means, by what it is: its size, and its WWN or its serial number, both where both are given. undefined when
 * no disk, or more than one, answers to it.
 */
export function matchDisk(disks: DiskFacts[], wanted: Identity): DiskFacts | undefined {
  const named = wanted.serial !== '' || wanted.wwn !== null
  const matching = disks.filter(
    (disk) =>
      named &&
      disk.size === wanted.size &&
      (wanted.serial === '' || disk.serial === wanted.serial) &&
      (wanted.wwn === null || (disk.wwn !== null && bareWwn(disk.wwn) === bareWwn(wanted.wwn))),
  )
  return matching.length === 1 ? matching[0] : undefined
}

/** `naa.5000c500a1b2c3d4` by Linux, `0x5000c500a1b2c3d4` by many tools, bare on many labels. */
const bareWwn = (wwn: string): string => wwn.toLowerCase().replace(/^(?:naa\.|eui\.|wwn-|0x)+/, '')

/** How a disk is called in a sentence: `serial S1, WWN naa.5000c500a1b2c3d4`. */
export function diskName({ serial, wwn }: Pick<Identity, 'serial' | 'wwn'>): string {
  const names = [...(serial === '' ? [] : [`serial ${serial}`]), ...(wwn === null ? [] : [`WWN ${wwn}`])]
  return names.join(', ') || 'neither serial number nor WWN'
}
