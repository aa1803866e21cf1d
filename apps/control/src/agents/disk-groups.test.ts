import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type DiskFacts } from '@byoi/contract'
import { diskGroupsOf } from './disk-groups.ts'

const disk = (path: string, change: Partial<DiskFacts> = {}): DiskFacts => ({
  path,
  serial: path,
  wwn: null,
  size: 960e9,
  sectorSize: 512,
  rotational: false,
  transport: 'sata',
  ...change,
})

/** The serial numbers of each group, in order. */
const serialsOf = (disks: DiskFacts[]): string[][] =>
  diskGroupsOf(disks).map((group) => group.disks.map(({ serial }) => serial))

const rows: { what: string; disks: DiskFacts[]; groups: string[][] }[] = [
  { what: 'no disk', disks: [], groups: [] },
  { what: 'two of one kind and size', disks: [disk('b'), disk('a')], groups: [['a', 'b']] },
  {
    what: 'two sizes: the smaller first',
    disks: [disk('a', { size: 2e12 }), disk('b')],
    groups: [['b'], ['a']],
  },
  {
    what: 'flash and rotating disks: flash first, however large',
    disks: [disk('a', { rotational: true, size: 1e12 }), disk('b', { transport: 'nvme', size: 8e12 })],
    groups: [['b'], ['a']],
  },
  {
    what: 'a virtio disk, which calls itself rotating',
    disks: [disk('a', { transport: 'virtio', rotational: true, size: 1e10 }), disk('b')],
    groups: [['a'], ['b']],
  },
  {
    what: 'a small USB disk: last',
    disks: [disk('a', { transport: 'usb', size: 16e9 }), disk('b', { rotational: true })],
    groups: [['b'], ['a']],
  },
  { what: 'other sectors', disks: [disk('a'), disk('b', { sectorSize: 4096 })], groups: [['a'], ['b']] },
  { what: 'a disk without a name', disks: [disk('a', { serial: '' }), disk('b')], groups: [['b']] },
  { what: 'a disk with a WWN only', disks: [disk('a', { serial: '', wwn: 'naa.5' })], groups: [['']] },
]

describe('the disk groups of', () => {
  for (const { what, disks, groups } of rows) {
    test(what, () => assert.deepEqual(serialsOf(disks), groups))
  }

  test('a server are numbered from 1, with the size of all their disks', () => {
    const groups = diskGroupsOf([disk('a'), disk('b'), disk('c', { size: 2e12 })])
    assert.deepEqual(
      groups.map(({ diskGroupId, size, description }) => ({ diskGroupId, size, description })),
      [
        { diskGroupId: 1, size: 1920e9, description: '2 X Disk SATA 960 GB' },
        { diskGroupId: 2, size: 2e12, description: '1 X Disk SATA 2000 GB' },
      ],
    )
  })
})
