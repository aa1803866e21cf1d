import assert from 'node:assert/strict'
import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type BootImage, loaderTree, makeBootImage } from './boot/testing/boot-images.ts'
import { efiProgram, machines, removableName } from './boot/testing/efi-program.ts'
import { lacks, makeRaw, MiB, options, scratch, serve } from './deploy-image.fixture.ts'
import { ImagingError } from './error.ts'
import { extWith, inScratch, writeTree } from './filesystem/testing/volumes.ts'
import type { InspectOptions } from './inspect/inspection.types.ts'
import { inspectImage } from './inspect-image.ts'
import { runTool } from './table/testing/run-tool.ts'

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

const rootTree = {
  'etc/cloud/cloud.cfg': Buffer.from(''),
  'etc/cloud/cloud.cfg.d/90_local.cfg': Buffer.from('datasource_list: [Ec2]\n'),
  'usr/bin/env': Buffer.from(''),
  'boot/grub/grub.cfg': Buffer.from('linux /vmlinuz root=LABEL=root quiet\n'),
}

test('over HTTP, what partitions hold is told by few and small reads', { skip: noTools }, async () => {
  await using folder = await scratch()
  const linux = extWith(rootTree, ['-t', 'ext4', '-L', 'root'], 3 * MiB)
  await using server = await serve(await makeBootImage(folder.path, { ...boots, linux }, 'qcow2'))
  const { found } = await inspectImage(inspectionOf(server.url, { diskSize: 2 * SIZE }))
  assert.deepEqual(
    found.table?.partitions.map(({ typeName, fileSystem }) => [
      typeName,
      fileSystem?.type,
      fileSystem?.label,
    ]),
    [
      ['BIOS boot', undefined, undefined],
      ['EFI system', 'fat12', 'VOLUME'],
      ['Linux', 'ext4', 'root'],
    ], // prettier-ignore
  )
  assert.deepEqual(found.cloudInit, {
    partition: 3,
    isInstalled: true,
    isDisabled: false,
    dataSources: ['Ec2'],
  })
  assert.deepEqual(found.consoles, [{ partition: 3, path: '/boot/grub/grub.cfg', consoles: [] }])
  assert.match(found.warnings.join('\n'), /no serial console.*\n.*ask only Ec2/)
  assert.deepEqual(found.target, {
    size: 2 * SIZE,
    sectorSize: 512,
    free: 12 * MiB,
    configDrive: { offset: 22 * MiB, length: MiB },
  })
  assert.equal(found.verdicts.fits?.answer, 'yes')
  // One byte is asked for when the image is opened.
  assert.ok(found.fetched.bytes > 0 && server.bytes() <= found.fetched.bytes + 1)
  assert.ok(server.bytes() < MiB && server.requests() < 60, `${server.bytes()} in ${server.requests()}`)
})

test('a large raw image costs as little as a small one', { skip: noTools }, async () => {
  await using folder = await scratch()
  const linux = extWith(rootTree, ['-t', 'ext4'], 3 * MiB)
  const image = await makeBootImage(folder.path, { ...boots, table: 'mbr', linux })
  await truncate(image, 64 * 1024 * MiB)
  await using server = await serve(image)
  const { found } = await inspectImage(inspectionOf(server.url, { diskSize: 64 * 1024 * MiB }))
  assert.equal(found.verdicts.fits?.answer, 'yes')
  assert.equal(found.cloudInit?.isInstalled, true)
  assert.ok(server.bytes() < 6 * MiB, `${server.bytes()}`)
})

const noXfs = noTools || lacks('mkfs.xfs', 'genisoimage')

test('what is not looked into is said, and a config drive of the image is found', {
  skip: noXfs,
}, async () => {
  await using folder = await scratch()
  const xfs = inScratch(320 * MiB, (path) => runTool('mkfs.xfs', ['-q', '-L', 'slash', path])).subarray(
    0,
    3 * MiB,
  )
  const image = await makeBootImage(folder.path, { ...boots, linux: xfs })
  const { found } = await inspectImage(inspectionOf(image))
  const last = found.table?.partitions.at(-1)
  assert.deepEqual(
    [last?.fileSystem?.type, last?.fileSystem?.label, last?.notLookedInto],
    ['xfs', 'slash', 'xfs'],
  )
  assert.deepEqual([found.cloudInit, found.configPartition], [null, null])
  const iso = inScratch(0, (path, directory) => {
    writeTree(join(directory, 'files'), { 'openstack/latest/meta_data.json': Buffer.from('{}') })
    runTool('genisoimage', ['-quiet', '-V', 'config-2', '-o', path, join(directory, 'files')])
  })
  const drive = await makeBootImage(folder.path, { ...boots, linux: iso })
  assert.equal((await inspectImage(inspectionOf(drive))).found.configPartition, 3)
})

test('without room for a config drive, that is said', { skip: noTools }, async () => {
  await using folder = await scratch()
  const image = await makeBootImage(folder.path, boots)
  const { found, refusal } = await inspectImage(inspectionOf(image, { diskSize: SIZE }))
  assert.deepEqual([refusal, found.verdicts.fits?.answer, found.target?.configDrive], [null, 'yes', null])
  assert.match(found.warnings.join(), /With a config drive it would be refused: .* belongs to partition 3\./)
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
