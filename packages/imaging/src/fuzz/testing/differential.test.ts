import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { keptInputs } from '../kept-inputs.ts'
import { accept, compare, differential, emptyComparison, makeComparable } from './differential.ts'

const RUNS = 300

describe('byoi and qemu-img', {
  skip: spawnSync('qemu-img', ['--version']).error && 'qemu-img is not installed',
}, () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'byoi-differential-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  const compareAll = async (name: string, images: Buffer[]) => {
    const result = emptyComparison()
    const accepted = await Promise.all(images.map((image, index) => accept(index + 1, image)))
    await compare(
      join(folder, name),
      accepted.filter((each) => each !== null),
      result,
    )
    return result
  }

  test('see the same disk in generated images, and byoi accepts none that is corrupt but in listed ways', async () => {
    const images = Array.from({ length: RUNS }, (_, index) => makeComparable(index + 1))
    const { failures, compared, corrupt } = await compareAll('generated', images)
    assert.deepEqual(failures, [])
    assert.ok(compared > RUNS / 5, `${compared} of ${RUNS} disks were compared`)
    assert.ok(corrupt > 0, 'no image was corrupt in a listed way')
  })

  test('agree upon images that they once did not agree upon', async () => {
    const { failures } = await compareAll(
      'kept',
      keptInputs(differential).map(({ input }) => input),
    )
    assert.deepEqual(failures, [])
  })
})
