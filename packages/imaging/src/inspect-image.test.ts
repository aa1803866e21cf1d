import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { type BootImage, loaderTree, makeBootImage } from './boot/testing/boot-images.ts'
import { efiProgram, machines, removableName } from './boot/testing/efi-program.ts'
import { lacks, makeRaw, MiB, options, scratch, serve } from './deploy-image.fixture.ts'
import { ImagingError } from './error.ts'
import { extWith } from './filesystem/testing/volumes.ts'
import type { InspectOptions } from './inspect/inspection.types.ts'
import { inspectImage } from './inspect-image.ts'

const SIZE = 12 * MiB

function inspectionOf(url: string, more: Partial<InspectOptions> = {}): InspectOptions {
  const { image, addressPolicy } = options({ url }, '')
  return { image: { ...image, type: null }, boot: null, bus: null, addressPolicy, ...more }
}

const boots: BootImage = { table: 'gpt', esp: loaderTree, code: 'grub' }
const noTools = lacks('qemu-img', 'sfdisk', 'mkfs.vfat', 'mcopy', 'mke2fs')

test('a GPT image in qcow2 tells its partitions and what firmware finds on them', {
  skip: noTools,
}, async () => {
  await using folder = await scratch()
  const linux = extWith({ 'boot/vmlinuz-6.1.0-56-cloud-amd64': Buffer.from('1') }, ['-t', 'ext4'], 3 * MiB)
  await using server = await serve(await makeBootImage(folder.path, { ...boots, linux }, 'qcow2'))
  const { found } = await inspectImage(inspectionOf(server.url, { boot: 'uefi', bus: 'nvme' }))
  assert.deepEqual(
    [found.format, found.virtualSize, found.clusterSize, found.compression, found.ranged],
    ['qcow2', SIZE, 65536, 'deflate', true],
  )
  assert.equal(found.table?.kind, 'gpt')
  assert.deepEqual(
    found.table.partitions.map(({ offset, length }) => [offset, length]),
    [
      [MiB, MiB],
      [2 * MiB, 4 * MiB],
      [8 * MiB, 3 * MiB],
    ], // prettier-ignore
  )
  const [esp] = found.efi ?? []
  assert.deepEqual([esp?.number, esp?.startLba, esp?.sectors], [2, 4096, 8192])
  assert.deepEqual(esp?.loaders, [{ path: `\\EFI\\BOOT\\${removableName}`, cpu: process.arch }])
  assert.deepEqual(
    [found.hasEfiSystemPartition, found.hasBiosBootCode, found.biosBootCode, found.kernels, found.warnings],
    [true, true, 'grub', ['vmlinuz-6.1.0-56-cloud-amd64'], []],
  )
  const onSata = await inspectImage(inspectionOf(server.url, { bus: 'sata' }))
  assert.match(onSata.found.warnings.join(), /has no driver for SATA controllers/)
})

test('as a stream, an image tells what its head shows of how it boots', { skip: noTools }, async () => {
  await using folder = await scratch()
  await using server = await serve(await makeBootImage(folder.path, boots), { ranges: false })
  const { found } = await inspectImage(inspectionOf(server.url, { boot: 'uefi' }))
  assert.deepEqual(
    [found.hasEfiSystemPartition, found.efi, found.biosBootCode, found.kernels],
    [true, null, 'grub', null],
  )
  assert.equal(found.warnings.length, 1)
})

test('what may not boot is warned of', { skip: noTools }, async () => {
  const rows: [image: BootImage, boot: 'uefi' | 'legacy' | null, warning: RegExp][] = [
    [{ ...boots, esp: 'zeros' }, null, /file system of the EFI system partition \(number 2\) is no FAT/],
    [
      { ...boots, esp: { 'EFI/a/grubaa64.efi': efiProgram({ machine: machines.arm64 }) } },
      null,
      /are for arm64/,
    ],
    [{ ...boots, esp: { 'EFI/a/grubx64.efi': efiProgram() } }, 'uefi', /only by a firmware boot entry/],
    [{ ...boots, code: 'grub without core' }, 'legacy', /which is empty/],
  ]
  for (const [image, boot, warning] of rows) {
    await using folder = await scratch()
    const { found } = await inspectImage(inspectionOf(await makeBootImage(folder.path, image), { boot }))
    assert.match(found.warnings.join('\n'), warning)
  }
})

test('without Range the head of the stream is looked at, and that is said', async () => {
  await using folder = await scratch()
  await using server = await serve(await makeRaw(join(folder.path, 'raw'), SIZE), { ranges: false })
  const { found } = await inspectImage(inspectionOf(server.url))
  assert.deepEqual(
    [found.format, found.virtualSize, found.ranged, found.hasBiosBootCode],
    ['raw', SIZE, false, true],
  )
  assert.match(found.warnings.join(), /only the head/)
})

test('what a deployment would refuse is refused, with nothing touched', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), SIZE)
  const refusals: [Partial<InspectOptions>, string, 'fits' | 'boots'][] = [
    [{ diskSize: SIZE - 512 }, 'DISK', 'fits'],
    [{ boot: 'uefi' }, 'BOOT', 'boots'],
    [{ boot: 'legacy' }, 'BOOT', 'boots'],
  ]
  for (const [more, code, question] of refusals) {
    const { found, refusal } = await inspectImage(inspectionOf(image, more))
    assert.deepEqual([refusal?.code, refusal?.disk], [code, 'untouched'])
    const verdict = found.verdicts[question]
    assert.deepEqual(
      [verdict?.answer, verdict?.cause, verdict?.remedy],
      ['no', refusal?.cause, refusal?.remedy],
    )
  }
})

test('what is no image of its type, or is not there, cannot be looked at', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), SIZE)
  const failures: [Partial<InspectOptions>, string][] = [
    [{ image: { url: image, file: true, httpHeader: [], type: 'qcow2' } }, 'FORMAT'],
    [{ image: { url: `${image}.absent`, file: true, httpHeader: [], type: null } }, 'DOWNLOAD'],
  ]
  for (const [more, code] of failures) {
    await assert.rejects(inspectImage(inspectionOf(image, more)), (error) => {
      assert.ok(error instanceof ImagingError)
      assert.deepEqual([error.code, error.disk], [code, 'untouched'])
      return true
    })
  }
})
