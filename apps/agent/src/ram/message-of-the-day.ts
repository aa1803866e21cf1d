import type { DiskFacts } from '@byoi/contract'
import { diskName } from '../match-disk.ts'

/** What somebody who logs in to the rescue system is shown. */
export function messageOfTheDay(server: string, disks: readonly DiskFacts[]): string {
  const lines = disks.map((disk) => `  ${disk.path}  ${size(disk)}  ${disk.transport}  ${diskName(disk)}`)
  return [
    '',
    `byoi's rescue system, in the RAM of ${server}.`,
    'No disk is mounted, and nothing was changed on any. "reboot" leaves to the disk.',
    '',
    'Disks:',
    ...(lines.length === 0 ? ['  none that this kernel knows'] : lines),
    '',
    '',
  ].join('\n')
}

const size = ({ size: bytes }: DiskFacts): string => `${(bytes / 1e9).toFixed(1)} GB`
