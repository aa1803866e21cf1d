import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namedDisks } from './named-disks.ts'

const one = { serial: 'S1', wwn: 'naa.1', size: 512 }
const two = { serial: 'S2', wwn: null, size: 512 }
const twin = { serial: 'S3', wwn: 'naa.3', size: 512 }
const group = (diskGroupId: number, disks: (typeof one | typeof two)[]) => ({
  diskGroupId,
  description: '',
  size: 512,
  disks,
})
const groups = [group(1, [one, twin]), group(2, [two, { ...twin }])]

test('disks are found by serial number or WWN, in any group, in the order of their names', () => {
  assert.deepEqual(namedDisks(groups, ['S2', 'naa.1']), [two, one])
  assert.deepEqual(namedDisks(groups, []), [])
})

for (const [what, names] of [
  ['of no disk', ['S1', 'S9']],
  ['of two disks', ['S3']],
  ['of one disk, twice', ['S1', 'naa.1']],
] as const) {
  test(`names ${what} name nothing`, () => assert.equal(namedDisks(groups, names), null))
}
