/**
 * What types of partitions are called. GPT: UEFI specification 2.10, table 5.7; The Discoverable Partitions Specification; GRUB
 * manual, "BIOS installation"; Microsoft, "PARTITION_INFORMATION_GPT"; FreeBSD, gpart(8). MBR: UEFI specification 2.10, table 5.3,
 * and fdisk(8). GUIDs in lower case, bytes as two hex digits, as in `PartitionSummary`.
 */
const names: Record<string, string> = {
  'c12a7328-f81f-11d2-ba4b-00a0c93ec93b': 'EFI system',
  '21686148-6449-6e6f-744e-656564454649': 'BIOS boot',
  'bc13c2ff-59e6-4262-a352-b275fd6f7172': 'Linux /boot',
  '0fc63daf-8483-4772-8e79-3d69d8477de4': 'Linux',
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709': 'Linux root (x86-64)',
  'b921b045-1df0-41c3-af44-4c6f280d3fae': 'Linux root (arm64)',
  '8484680c-9521-48c6-9c11-b0720656f69e': 'Linux /usr (x86-64)',
  '933ac7e1-2eb4-4f13-b844-0e14e2aef915': 'Linux /home',
  '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f': 'Linux swap',
  'e6d6d379-f507-44c2-a23c-238f2a3df928': 'Linux LVM',
  'a19d880f-05fc-4d3b-a006-743f0f84911e': 'Linux RAID',
  'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7': 'Microsoft basic data',
  'e3c9e316-0b5c-4db8-817d-f92df00215ae': 'Microsoft reserved',
  'de94bba4-06d1-4d40-a16a-bfd50179d6ac': 'Windows recovery',
  '83bd6b9d-7f41-11dc-be0b-001560b84f0f': 'FreeBSD boot',
  '516e7cb6-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD UFS',
  '516e7cb5-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD swap',
  '516e7cba-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD ZFS',
  '01': 'FAT12',
  '04': 'FAT16',
  '05': 'extended',
  '06': 'FAT16',
  '07': 'NTFS',
  '0b': 'FAT32',
  '0c': 'FAT32',
  '0e': 'FAT16',
  '0f': 'extended',
  '82': 'Linux swap',
  '83': 'Linux',
  '85': 'extended',
  '8e': 'Linux LVM',
  a5: 'FreeBSD',
  ee: 'protective',
  ef: 'EFI system',
  fd: 'Linux RAID',
}

/** Null for a type that is not known here. */
export const partitionTypeName = (type: string): string | null => names[type] ?? null

/** Holds partitions, and no file system. */
export const isContainer = (type: string): boolean => names[type] === 'extended'
