import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { lacks, makeRaw, MiB, options, run, scratch, serve } from './deploy-image.fixture.ts'
import { ImagingError } from './error.ts'
import { type InspectOptions, inspectImage } from './inspect-image.ts'

const SIZE = 12 * MiB

function inspectionOf(url: string, more: Partial<InspectOptions> = {}): InspectOptions {
  const { image, addressPolicy } = options({ url }, '')
  return { image: { ...image, type: null }, boot: null, bus: null, addressPolicy, ...more }
}

test('a GPT image in qcow2 tells its partitions and what firmware needs', {
  skip: lacks('qemu-img', 'sgdisk'),
}, async () => {
  await using folder = await scratch()
  const raw = await makeRaw(join(folder.path, 'raw'), SIZE)
  await run('sgdisk', ['-n', '1:2048:6143', '-t', '1:EF00', '-c', '1:esp', raw])
  const image = join(folder.path, 'image')
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, image])
  await using server = await serve(image)
  const found = await inspectImage(inspectionOf(server.url, { boot: 'uefi' }))
  assert.deepEqual(
    [found.format, found.virtualSize, found.clusterSize, found.compression, found.ranged],
    ['qcow2', SIZE, 65536, 'deflate', true],
  )
  assert.equal(found.table?.kind, 'gpt')
  assert.deepEqual(
    found.table.partitions.map(({ name, offset, length }) => [name, offset, length]),
    [['esp', MiB, 2 * MiB]],
  )
  assert.deepEqual([found.hasEfiSystemPartition, found.hasBiosBootCode, found.warnings], [true, true, []])
})

test('without Range the head of the stream is looked at, and that is said', async () => {
  await using folder = await scratch()
  await using server = await serve(await makeRaw(join(folder.path, 'raw'), SIZE), { ranges: false })
  const found = await inspectImage(inspectionOf(server.url))
  assert.deepEqual(
    [found.format, found.virtualSize, found.ranged, found.hasBiosBootCode],
    ['raw', SIZE, false, true],
  )
  assert.match(found.warnings.join(), /only the head/)
})

for (const boot of ['uefi', 'legacy'] as const) {
  test(`an empty image is not expected to boot with ${boot}`, { skip: lacks('qemu-img') }, async () => {
    await using folder = await scratch()
    const image = join(folder.path, 'image')
    await run('qemu-img', ['create', '-f', 'raw', image, String(SIZE)])
    const { warnings } = await inspectImage(inspectionOf(image, { boot }))
    assert.ok(warnings.includes('The image has no partition table.'))
    assert.equal(warnings.length, 2)
  })
}

test('what a deployment would refuse is refused, with nothing touched', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), SIZE)
  const refusals: [Partial<InspectOptions>, string][] = [
    [{ diskSize: SIZE - 512 }, 'DISK'],
    [{ image: { url: image, file: true, httpHeader: [], type: 'qcow2' } }, 'FORMAT'],
    [{ image: { url: `${image}.absent`, file: true, httpHeader: [], type: null } }, 'DOWNLOAD'],
  ]
  for (const [more, code] of refusals) {
    await assert.rejects(inspectImage(inspectionOf(image, more)), (error) => {
      assert.ok(error instanceof ImagingError)
      assert.deepEqual([error.code, error.disk], [code, 'untouched'])
      return true
    })
  }
})
