import { openExt, ROOT_INODE } from '../filesystem/ext.ts'
import { readExtDirectory } from '../filesystem/ext-directory.ts'
import { unlessFault } from '../filesystem/file-tree.ts'
import type { Volume } from '../filesystem/volume.ts'

/** What a disk hangs on. */
export type Bus = 'virtio' | 'nvme' | 'sata' | 'sas' | 'usb'

/** `vmlinuz-6.1.0-56-cloud-amd64`: a name with a version, which a link like `vmlinuz` is not. */
const kernelName = /^vmlinu[xz]-[\w.+~-]{1,128}$/

/** More than any sound volume holds. */
const MOST_KERNELS = 64

/** Kernels that were built without drivers for some buses. What is not listed here is not known to lack any. */
const flavours: { name: string; pattern: RegExp; lacks: readonly Bus[] }[] = [
  {
    // config-*-cloud-amd64 of Debian 12: SATA_AHCI, USB_SUPPORT, MEGARAID_SAS, SCSI_MPT3SAS, SCSI_HPSA, SCSI_SMARTPQI,
    // SCSI_AACRAID and their like are not set; BLK_DEV_NVME, VIRTIO_BLK and SCSI_VIRTIO are.
    name: "Debian's kernel for clouds",
    pattern: /^vmlinuz-[\w.+~-]+-cloud-(amd64|arm64)$/,
    lacks: ['sata', 'sas', 'usb'],
  },
]

/** Names of the Linux kernels in /boot of an ext2, ext3 or ext4 volume, and in its root where it is /boot itself. */
export async function findKernels(volume: Volume): Promise<string[]> {
  const ext = await unlessFault(openExt(volume))
  if (!ext) return []
  const root = (await unlessFault(readExtDirectory(ext, ROOT_INODE))) ?? []
  const boot = root.find(({ name }) => name === 'boot')
  const inBoot = boot ? await unlessFault(readExtDirectory(ext, boot.inode)) : null
  return [...root, ...(inBoot ?? [])]
    .map(({ name }) => name)
    .filter((name) => kernelName.test(name))
    .sort()
    .slice(0, MOST_KERNELS)
}

/**
 * A sentence when none of the image's kernels has a driver for the bus of the target disk; null where one has, or where it
 * is not known.
 */
export function warnOfBus(kernels: string[], bus: string | null): string | null {
  const found = kernels.map((kernel) => ({
    kernel,
    flavour: flavours.find(
      ({ pattern, lacks }) => pattern.test(kernel) && lacks.some((each) => each === bus),
    ),
  }))
  const [first] = found
  if (!first?.flavour || found.some(({ flavour }) => !flavour)) return null
  return `The image boots ${first.flavour.name} (${first.kernel}), which has no driver for ${busNames[bus as Bus]} and will not find its disk; install a generic kernel in the image.`
}

const busNames: Record<Bus, string> = {
  virtio: 'virtio',
  nvme: 'NVMe',
  sata: 'SATA controllers (AHCI)',
  sas: 'common SAS and RAID controllers',
  usb: 'USB',
}
