import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DiskFacts } from '@byoi/contract'
import { diskName, matchDisk } from './match-disk.ts'

const disk = (path: string, serial: string, wwn: string | null, size = 1000): DiskFacts => ({
  path,
  serial,
  wwn,
  size,
  sectorSize: 512,
  rotational: false,
  transport: 'sas',
})

const disks = [
  disk('a', 'S1', 'naa.5000c500a1b2c3d4'),
  disk('b', 'S2', null),
  disk('c', 'S2', null, 2000),
  disk('d', '', 'eui.0025388b91b0c1d2'),
  disk('e', '', null),
  disk('f', 'TWIN', 'naa.5001'),
  disk('g', 'TWIN', 'naa.5001'),
]

const cases: [title: string, wanted: Parameters<typeof matchDisk>[1], path: string | undefined][] = [
  ['serial number and size', { serial: 'S1', wwn: null, size: 1000 }, 'a'],
  ['serial number, WWN and size', { serial: 'S1', wwn: 'naa.5000c500a1b2c3d4', size: 1000 }, 'a'],
  ['WWN and size alone', { serial: '', wwn: 'naa.5000c500a1b2c3d4', size: 1000 }, 'a'],
  ['a WWN as it stands on the label', { serial: '', wwn: '5000C500A1B2C3D4', size: 1000 }, 'a'],
  ['a WWN as tools print it', { serial: '', wwn: '0x5000c500a1b2c3d4', size: 1000 }, 'a'],
  ['a disk with a WWN and no serial number', { serial: '', wwn: 'eui.0025388b91b0c1d2', size: 1000 }, 'd'],
  ['one serial number, two sizes', { serial: 'S2', wwn: null, size: 2000 }, 'c'],
  [
    'the right WWN with another serial number',
    { serial: 'S9', wwn: 'naa.5000c500a1b2c3d4', size: 1000 },
    undefined,
  ],
  ['the right serial number with another WWN', { serial: 'S1', wwn: 'naa.5002', size: 1000 }, undefined],
  ['a WWN where the disk has none', { serial: 'S2', wwn: 'naa.5002', size: 1000 }, undefined],
  ['another size', { serial: 'S1', wwn: null, size: 1001 }, undefined],
  ['two disks of one name', { serial: 'TWIN', wwn: 'naa.5001', size: 1000 }, undefined],
  ['nothing but a size', { serial: '', wwn: null, size: 1000 }, undefined],
]

for (const [title, wanted, path] of cases) {
  test(`${title}: ${path === undefined ? 'no single disk' : `disk ${path}`}`, () => {
    assert.equal(matchDisk(disks, wanted)?.path, path)
  })
}

test('a disk is called by what it has', () => {
  assert.equal(diskName({ serial: 'S1', wwn: 'naa.1' }), 'serial S1, WWN naa.1')
  assert.equal(diskName({ serial: '', wwn: 'naa.1' }), 'WWN naa.1')
  assert.equal(diskName({ serial: '', wwn: null }), 'neither serial number nor WWN')
})
