import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EFI_SYSTEM_GPT } from './boot/efi-partitions.ts'
import { type BootImage, loaderTree, makeBootImage } from './boot/testing/boot-images.ts'
import { efiProgram, foreignMachine, removableName } from './boot/testing/efi-program.ts'
import { lacks, MiB, options, readAt, run, scratch, serve, usedDisk } from './deploy-image.fixture.ts'
import { deployImage } from './deploy-image.ts'
import type { DeployOptions, DeployResult } from './deploy-image.types.ts'
import { ImagingError } from './error.ts'
import { extWith, fatWith } from './filesystem/testing/volumes.ts'
import { guidBytes } from './table/guid.ts'
import { makeGpt } from './table/testing/make-image.ts'

const DISK = 16 * MiB
const skip = lacks('qemu-img', 'sfdisk', 'mkfs.vfat', 'mcopy', 'mke2fs')
const removable = `\\EFI\\BOOT\\${removableName}`

const uefi: BootImage = { table: 'gpt', esp: loaderTree, code: null }
const bios: BootImage = { table: 'gpt', esp: null, code: 'grub' }
const foreign = { [`EFI/BOOT/${removableName}`]: efiProgram({ machine: foreignMachine }) }
const debian = {
  'EFI/debian/shimx64.efi': efiProgram(),
  'EFI/debian/grubx64.efi': efiProgram(),
  'EFI/debian/grub.cfg': Buffer.from('text'),
}

/** How an image gets to the engine, and what can be seen of it before the disk is touched. */
interface Way {
  name: string
  format: 'raw' | 'qcow2' | 'vmdk'
  ranged: boolean
  sees: 'all' | 'head' | 'nothing'
}

const ways: Way[] = [
  { name: 'raw with Range', format: 'raw', ranged: true, sees: 'all' },
  { name: 'raw as a stream', format: 'raw', ranged: false, sees: 'head' },
  { name: 'qcow2 with Range', format: 'qcow2', ranged: true, sees: 'all' },
  { name: 'qcow2 as a stream', format: 'qcow2', ranged: false, sees: 'nothing' },
]

/** All is seen, and nothing: where an image is deployed, the others add little. */
const extremes = ways.filter(({ name }) => ['raw with Range', 'qcow2 as a stream'].includes(name))

interface Refusal {
  title: string
  image: BootImage
  boot: 'uefi' | 'legacy'
  path?: string
  /** What must be seen of the image for the refusal. */
  needs: 'head' | 'all'
  says: RegExp
}

const refusals: Refusal[] = [
  {
    title: 'a UEFI server and a GPT image that boots by BIOS only',
    image: bios,
    boot: 'uefi',
    needs: 'head',
    says: /^The server boots by UEFI, and the image has no EFI system partition\.$/,
  },
  {
    title: 'a UEFI server and an MBR image that boots by BIOS only',
    image: { table: 'mbr', esp: null, code: 'other' },
    boot: 'uefi',
    needs: 'head',
    says: /no EFI system partition/,
  },
  {
    title: 'a UEFI server and an image without a partition table',
    image: { table: 'none', esp: null, code: 'other' },
    boot: 'uefi',
    needs: 'all',
    says: /no EFI system partition/,
  },
  {
    title: 'a legacy server and a GPT image that boots by UEFI only',
    image: uefi,
    boot: 'legacy',
    needs: 'head',
    says: /legacy mode, and the first sector of the image has no boot code/,
  },
  {
    title: 'a legacy server and an MBR image that boots by UEFI only',
    image: { table: 'mbr', esp: loaderTree, code: null },
    boot: 'legacy',
    needs: 'head',
    says: /no boot code/,
  },
  {
    title: 'a legacy server and boot code without a boot signature',
    image: { table: 'none', esp: null, code: 'other' },
    boot: 'legacy',
    needs: 'all',
    says: /no boot code/,
  },
  {
    title: 'an EFI system partition without a loader',
    image: { ...uefi, esp: { 'EFI/debian/grub.cfg': Buffer.from('text') } },
    boot: 'uefi',
    needs: 'all',
    says: /EFI system partition \(number 1\) holds no boot loader\.$/,
  },
  {
    title: 'an EFI system partition without a file system',
    image: { ...uefi, esp: 'zeros' },
    boot: 'uefi',
    needs: 'all',
    says: /holds no boot loader: its file system is no FAT\.$/,
  },
  {
    title: 'a loader for another CPU',
    image: { ...uefi, esp: foreign },
    boot: 'uefi',
    needs: 'all',
    says: /^The server's CPU is \w+, and the image has no boot loader for it, only \\EFI\\BOOT\\\w+\.EFI \(\w+\)\.$/,
  },
  {
    title: 'an efiBootloaderPath that is not there',
    image: { ...uefi, esp: debian },
    boot: 'uefi',
    path: '\\efi\\ubuntu\\grubx64.efi',
    needs: 'all',
    says: /\\efi\\ubuntu\\grubx64\.efi \(efiBootloaderPath\) is not in the image; .* holds \\EFI\\debian\\shimx64\.efi \(\w+\), \\EFI\\debian\\grubx64\.efi/,
  },
  {
    title: 'an efiBootloaderPath that is no program',
    image: { ...uefi, esp: debian },
    boot: 'uefi',
    path: '\\efi\\debian\\grub.cfg',
    needs: 'all',
    says: /is no EFI program/,
  },
  {
    title: 'an efiBootloaderPath for another CPU',
    image: { ...uefi, esp: foreign },
    boot: 'uefi',
    path: removable,
    needs: 'all',
    says: /is for the CPU \w+, while the server's is/,
  },
]

const images = mkdtempSync(join(tmpdir(), 'byoi-boot-'))
after(() => rmSync(images, { recursive: true }))
const makings = new Map<BootImage, Map<string, Promise<string>>>()

/** The image in a format, made once. */
function made(image: BootImage, format: Way['format']): Promise<string> {
  const ofImage = makings.get(image) ?? new Map<string, Promise<string>>()
  makings.set(image, ofImage)
  const making = ofImage.get(format) ?? makeBootImage(mkdtempSync(join(images, 'image-')), image, format)
  ofImage.set(format, making)
  return making
}

/** Serves the image one of the four ways and deploys it to a used disk. */
async function deploy(
  way: Way,
  image: BootImage,
  more: Partial<DeployOptions>,
): Promise<{ result: DeployResult | ImagingError; isUntouched: boolean; isBlank: boolean }> {
  await using folder = await scratch()
  await using server = await serve(await made(image, way.format), { ranges: way.ranged })
  const path = await usedDisk(join(folder.path, 'disk'), DISK)
  const deployment = options({ url: server.url, type: way.format }, path, { dataDisk: false, ...more })
  const result = await deployImage(deployment).catch((error: unknown) => {
    assert.ok(error instanceof ImagingError, String(error))
    return error
  })
  const disk = await readAt(path, 0, DISK)
  const areas = Buffer.concat([disk.subarray(0, MiB), disk.subarray(-MiB)])
  return {
    result,
    isUntouched: disk.every((byte) => byte === 0xff),
    isBlank: areas.every((byte) => byte === 0),
  }
}

for (const { title, image, boot, path = null, needs, says } of refusals) {
  test(`${title}: refused, and the disk untouched where that was to be seen before`, { skip }, async () => {
    for (const way of ways) {
      const isSeen = way.sees === 'all' || way.sees === needs
      const { result, isUntouched, isBlank } = await deploy(way, image, { boot, efiBootloaderPath: path })
      assert.ok(result instanceof ImagingError, `${way.name}: deployed`)
      assert.deepEqual([result.code, result.disk], ['BOOT', isSeen ? 'untouched' : 'unbootable'], way.name)
      assert.match(result.cause, says, way.name)
      assert.deepEqual([isUntouched, isBlank], [isSeen, !isSeen], way.name)
    }
  })
}

interface Deployed {
  title: string
  image: BootImage
  boot: DeployOptions['boot']
  path?: string
  transport?: string
  loader: string | null
  loaders?: string[]
  notes?: RegExp[]
}

const shims = ['\\EFI\\debian\\shimx64.efi', '\\EFI\\debian\\grubx64.efi']
const onlyByEntry = /no \\EFI\\BOOT\\\w+\.EFI, so the server boots it only by a firmware boot entry/

/** A root file system with these kernels. */
const rootWith = (kernels: string[]): Buffer =>
  skip === false
    ? extWith(
        Object.fromEntries(kernels.map((name) => [`boot/${name}`, Buffer.from('1')])),
        ['-t', 'ext4'],
        3 * MiB,
      )
    : Buffer.alloc(0)

const deployed: Deployed[] = [
  { title: 'UEFI and a GPT image', image: uefi, boot: 'uefi', loader: removable },
  {
    title: 'UEFI and an MBR image',
    image: { ...uefi, table: 'mbr', code: 'other' },
    boot: 'uefi',
    loader: removable,
  },
  {
    title: "UEFI and vendors' loaders only",
    image: { ...uefi, esp: debian },
    boot: 'uefi',
    loader: shims[0] ?? '',
    loaders: shims,
    notes: [onlyByEntry],
  },
  {
    title: 'UEFI and an efiBootloaderPath in another spelling',
    image: { ...uefi, esp: { ...debian, ...loaderTree } },
    boot: 'uefi',
    path: '/efi/DEBIAN/grubx64.efi',
    loader: '\\EFI\\debian\\grubx64.efi',
    loaders: [removable, ...shims],
  },
  { title: 'legacy and a GPT image', image: bios, boot: 'legacy', loader: null },
  {
    title: 'legacy and an MBR image',
    image: { table: 'mbr', esp: null, code: 'other' },
    boot: 'legacy',
    loader: null,
  },
  {
    title: 'legacy and an image for both firmwares',
    image: { ...uefi, code: 'grub' },
    boot: 'legacy',
    loader: null,
  },
  {
    title: 'legacy and GRUB without its core',
    image: { ...bios, code: 'grub without core' },
    boot: 'legacy',
    loader: null,
    notes: [/GRUB's boot code loads its core from sector 2048, which is empty/],
  },
  {
    title: 'a SATA disk and the kernel for clouds',
    image: { ...uefi, linux: rootWith(['vmlinuz-6.1.0-56-cloud-amd64']) },
    boot: 'uefi',
    transport: 'sata',
    loader: removable,
    notes: [/cloud-amd64\), which has no driver for SATA controllers \(AHCI\) and will not find its disk/],
  },
  {
    title: 'a SATA disk and two kernels',
    image: { ...uefi, linux: rootWith(['vmlinuz-6.1.0-56-cloud-amd64', 'vmlinuz-6.1.0-56-amd64']) },
    boot: 'uefi',
    transport: 'sata',
    loader: removable,
  },
  {
    title: 'nobody who asks, and an image that boots nowhere',
    image: { table: 'gpt', esp: null, code: null },
    boot: null,
    loader: null,
  },
  { title: 'nobody who asks, and an image for UEFI', image: uefi, boot: null, loader: removable },
]

for (const { title, image, boot, path = null, transport = null, loader, loaders, notes = [] } of deployed) {
  test(`${title}: deployed, and told what to boot`, { skip }, async () => {
    for (const way of image === uefi ? ways : extremes) {
      const { result } = await deploy(way, image, { boot, efiBootloaderPath: path, transport })
      if (result instanceof ImagingError) assert.fail(`${way.name}: ${result.message}`)
      assert.equal(result.boot?.loader ?? null, loader, way.name)
      if (loader !== null) assert.deepEqual(result.boot?.loaders, loaders ?? [loader], way.name)
      assert.equal(result.notes.length, notes.length, `${way.name}: ${result.notes.join(' ')}`)
      notes.forEach((note, index) => assert.match(result.notes[index] ?? '', note, way.name))
    }
  })
}

test('a vmdk image is judged like a qcow2 image', { skip }, async () => {
  const vmdks: Way[] = [
    { name: 'vmdk with Range', format: 'vmdk', ranged: true, sees: 'all' },
    { name: 'vmdk as a stream', format: 'vmdk', ranged: false, sees: 'nothing' },
  ]
  for (const way of vmdks) {
    const refused = await deploy(way, bios, { boot: 'uefi' })
    assert.ok(refused.result instanceof ImagingError, way.name)
    const disk = way.ranged ? 'untouched' : 'unbootable'
    assert.deepEqual([refused.result.code, refused.result.disk], ['BOOT', disk], way.name)
    const { result } = await deploy(way, uefi, { boot: 'uefi' })
    assert.equal(result instanceof ImagingError ? result.message : result.boot?.loader, removable, way.name)
  }
})

for (const table of ['gpt', 'mbr'] as const) {
  test(`the EFI system partition on ${table} is told as sfdisk sees it on the disk`, { skip }, async () => {
    await using folder = await scratch()
    const image = await makeBootImage(folder.path, { table, esp: loaderTree, code: 'other' })
    const path = await usedDisk(join(folder.path, 'disk'), DISK)
    const { boot } = await deployImage(options({ url: image }, path, { dataDisk: false, boot: 'uefi' }))
    const { partitiontable: judged } = JSON.parse((await run('sfdisk', ['--json', path])).stdout)
    const number = judged.partitions.findIndex(
      ({ type }: { type: string }) => type.toLowerCase() === 'ef' || type.startsWith('C12A7328'),
    )
    const { start, size, uuid } = judged.partitions[number]
    assert.deepEqual(boot?.esp, {
      number: number + 1,
      guid: table === 'gpt' ? uuid.toLowerCase() : null,
      mbrSignature: table === 'mbr' ? Number(judged.id) : null,
      startLba: start,
      sectors: size,
    })
  })
}

test('on a disk of 4096 byte sectors the place is told in its sectors', { skip }, async () => {
  await using folder = await scratch()
  const sectorSize = 4096
  const [start, length] = [(2 * MiB) / sectorSize, (8 * MiB) / sectorSize]
  const partitions = [{ start, end: start + length - 1, type: guidBytes(EFI_SYSTEM_GPT) }]
  const image = makeGpt({ sectorSize, size: 12 * MiB, partitions })
  image.set(fatWith(loaderTree, { bits: 12, sectorSize, clusterSectors: 1, size: 8 * MiB }), 2 * MiB)
  const raw = join(folder.path, 'raw')
  await writeFile(raw, image)
  const path = join(folder.path, 'disk')
  const disk = { path, size: DISK, sectorSize } as const
  const { boot } = await deployImage(options({ url: raw }, path, { dataDisk: false, boot: 'uefi', disk }))
  assert.deepEqual([boot?.esp.startLba, boot?.esp.sectors, boot?.loader], [start, length, removable])
})

test('a data disk is not asked whether it boots', { skip }, async () => {
  const [way] = ways
  const image: BootImage = { table: 'none', esp: null, code: null }
  const { result } = await deploy(way ?? assert.fail(), image, { boot: 'uefi', dataDisk: true })
  assert.equal(result instanceof ImagingError ? result.message : result.boot, null)
})
