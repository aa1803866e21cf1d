import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import {
  assertSame,
  configDrive,
  failingDevice,
  lacks,
  makeRaw,
  MiB,
  needsRoot,
  options,
  readAt,
  run,
  scratch,
  serve,
  type ServeOptions,
  usedDisk,
  usedLoop,
} from './deploy-image.fixture.ts'
import { deployImage } from './deploy-image.ts'
import type { CheckSumType, DeployOptions, DeployPhase, ImageType } from './deploy-image.types.ts'
import { ovfOf } from './decode/test-vmdk.ts'
import { type DiskState, type ImagingCode, ImagingError } from './error.ts'

const IMAGE = 12 * MiB
const DISK = 16 * MiB
const noQemu = lacks('qemu-img')

interface Format {
  name: string
  type: ImageType
  convert?: string[]
  size?: number
}

const streamOptimized = ['-o', 'subformat=streamOptimized']

const formats: Format[] = [
  { name: 'raw', type: 'raw' },
  { name: 'raw with an odd tail', type: 'raw', size: IMAGE - 1213 },
  { name: 'raw as large as the disk', type: 'raw', size: DISK },
  { name: 'qcow2', type: 'qcow2', convert: [] },
  { name: 'qcow2 as large as the disk', type: 'qcow2', convert: [], size: DISK },
  { name: 'qcow2 version 2', type: 'qcow2', convert: ['-o', 'compat=0.10'] },
  { name: 'qcow2 with clusters of 512 bytes', type: 'qcow2', convert: ['-o', 'cluster_size=512'] },
  { name: 'qcow2 with clusters of 4 KiB', type: 'qcow2', convert: ['-o', 'cluster_size=4k'] },
  { name: 'qcow2 with clusters of 2 MiB', type: 'qcow2', convert: ['-o', 'cluster_size=2M'] },
  { name: 'qcow2 with extended L2 entries', type: 'qcow2', convert: ['-o', 'extended_l2=on'] },
  { name: 'zlib qcow2', type: 'qcow2', convert: ['-c'] },
  { name: 'zlib qcow2 with clusters of 512 bytes', type: 'qcow2', convert: ['-c', '-o', 'cluster_size=512'] },
  { name: 'zlib qcow2 with clusters of 2 MiB', type: 'qcow2', convert: ['-c', '-o', 'cluster_size=2M'] },
  { name: 'zlib qcow2 that ends inside a cluster', type: 'qcow2', convert: ['-c'], size: IMAGE - 512 },
  { name: 'zstd qcow2', type: 'qcow2', convert: ['-c', '-o', 'compression_type=zstd'] },
  { name: 'streamOptimized vmdk', type: 'vmdk', convert: streamOptimized },
  { name: 'vmdk that ends inside a grain', type: 'vmdk', convert: streamOptimized, size: IMAGE - 512 },
  { name: 'ova', type: 'ova', convert: streamOptimized },
]

/** Makes the image and what it must read as, by the judge. */
async function imageOf(
  folder: string,
  { type, convert, size = IMAGE }: Format,
): Promise<{ image: string; raw: string }> {
  const raw = await makeRaw(join(folder, 'raw'), size)
  if (!convert) return { image: raw, raw }
  const image = join(folder, 'image')
  const format = type === 'ova' ? 'vmdk' : type
  await run('qemu-img', ['convert', '-f', 'raw', '-O', format, ...convert, raw, image])
  await run('qemu-img', ['convert', '-f', format, '-O', 'raw', image, join(folder, 'judged')])
  return { image: type === 'ova' ? await packOva(image, size) : image, raw: join(folder, 'judged') }
}

/** As a person packs one, with GNU tar. */
async function packOva(vmdk: string, capacity: number): Promise<string> {
  const folder = dirname(vmdk)
  await rename(vmdk, join(folder, 'disk.vmdk'))
  await writeFile(join(folder, 'vm.ovf'), ovfOf(capacity))
  await run('tar', ['--format=ustar', '-C', folder, '-cf', join(folder, 'vm.ova'), 'vm.ovf', 'disk.vmdk'])
  return join(folder, 'vm.ova')
}

for (const format of formats) {
  test(`${format.name} arrives on a used file by Range, without Range and from a file`, {
    skip: noQemu,
  }, async () => {
    await using folder = await scratch()
    const { image, raw } = await imageOf(folder.path, format)
    await using ranged = await serve(image)
    await using plain = await serve(image, { ranges: false })
    for (const url of [ranged.url, plain.url, image]) {
      const disk = await usedDisk(join(folder.path, 'disk'), DISK)
      const result = await deployImage(options({ url, type: format.type }, disk))
      assert.equal(result.disk, 'complete')
      assert.equal(result.bytesServed, (await stat(image)).size)
      assert.equal(
        result.checkSum,
        createHash('sha256')
          .update(await readFile(image))
          .digest('hex'),
      )
      await assertSame(disk, raw)
    }
  })

  test(`${format.name} arrives on used devices`, {
    skip: noQemu || needsRoot('losetup', 'fallocate'),
  }, async () => {
    await using folder = await scratch()
    const { image, raw } = await imageOf(folder.path, format)
    for (const sectorSize of [512, 4096]) {
      await using device = await usedLoop(join(folder.path, 'disk'), DISK, sectorSize)
      const result = await deployImage(options({ url: image, type: format.type }, device.path))
      assert.equal(result.disk, 'complete')
      await assertSame(device.path, raw)
      const tail = await readAt(device.path, DISK - MiB, MiB)
      if ((format.size ?? IMAGE) < DISK)
        assert.ok(
          tail.every((byte) => byte === 0),
          'old data is left at the end',
        )
    }
  })
}

for (const { name, type, convert } of [
  { name: 'raw', type: 'raw' as const },
  { name: 'qcow2', type: 'qcow2' as const, convert: [] },
  { name: 'qcow2 with clusters of 512 bytes', type: 'qcow2' as const, convert: ['-o', 'cluster_size=512'] },
  { name: 'zlib qcow2', type: 'qcow2' as const, convert: ['-c'] },
]) {
  test(`${name} without holes arrives when it is several times as large as the buffers`, {
    skip: noQemu,
  }, async () => {
    await using folder = await scratch()
    const raw = join(folder.path, 'raw')
    const noise = randomBytes(80 * MiB)
    for (let at = 0; at < noise.length; at += 32_768) noise.fill('text', at, at + 10_000)
    await writeFile(raw, noise)
    const image = convert ? join(folder.path, 'image') : raw
    if (convert) await run('qemu-img', ['convert', '-f', 'raw', '-O', type, ...convert, raw, image])
    await using ranged = await serve(image)
    await using plain = await serve(image, { ranges: false })
    for (const url of [ranged.url, plain.url]) {
      const disk = join(folder.path, 'disk')
      await deployImage(options({ url, type }, disk))
      await assertSame(disk, raw)
    }
  })
}

for (const type of ['md5', 'sha1', 'sha256', 'sha512'] satisfies CheckSumType[]) {
  test(`the ${type} of the served bytes is compared, in either case of letters, and told`, async () => {
    await using folder = await scratch()
    const image = await makeRaw(join(folder.path, 'raw'), IMAGE)
    const value = createHash(type)
      .update(await readFile(image))
      .digest('hex')
    const checkSum = { type, value: value.toUpperCase() }
    const result = await deployImage(options({ url: image, checkSum }, join(folder.path, 'disk')))
    assert.deepEqual([result.checkSum, result.checkSumType], [value, type])
    const weak = result.notes.some((note) => note.includes('not collision-safe'))
    assert.equal(weak, type === 'md5' || type === 'sha1')
  })
}

test('a file that does not exist is made as large as the image', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), IMAGE)
  const disk = join(folder.path, 'disk')
  await deployImage(options({ url: image }, disk))
  assert.equal((await stat(disk)).size, IMAGE)
  await assertSame(disk, image)
})

test('a shorter file is extended to the size that is given', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), IMAGE)
  const path = join(folder.path, 'disk')
  await deployImage(options({ url: image }, path, { disk: { path, size: DISK } }))
  assert.equal((await stat(path)).size, DISK)
})

test('a GPT image ends up with its backup at the end of the disk and a config drive', {
  skip: lacks('sgdisk', 'blkid'),
}, async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), IMAGE)
  await run('sgdisk', ['-n', '1:2048:20000', '-t', '1:8300', image])
  const path = join(folder.path, 'disk')
  await usedDisk(path, DISK)
  const phases = new Set<string>()
  const result = await deployImage(
    options({ url: image }, path, {
      dataDisk: false,
      configDrive,
      onProgress: ({ phase }) => phases.add(phase),
    }),
  )
  assert.equal(result.disk, 'complete')
  assert.match((await run('sgdisk', ['-v', path])).stdout, /No problems found/)
  const { partitiontable } = JSON.parse((await run('sfdisk', ['--json', path])).stdout)
  const drive = partitiontable.partitions.at(-1)
  const { stdout } = await run('blkid', [
    '-p',
    '-s',
    'LABEL',
    '-o',
    'value',
    '-O',
    String(drive.start * 512),
    path,
  ])
  assert.equal(stdout.trim(), 'config-2')
  assert.deepEqual([...phases], ['preflight-disk', 'write', 'verify', 'move-gpt', 'config-drive', 'publish'])
})

test('2 TiB that are mostly empty take neither memory nor time', {
  skip: lacks('qemu-img', 'qemu-io'),
}, async () => {
  await using folder = await scratch()
  const image = join(folder.path, 'image')
  const size = 2 * 1024 ** 4
  await run('qemu-img', ['create', '-f', 'qcow2', image, String(size)])
  const places = [0, size / 2 - 4096, size - 65536]
  await run('qemu-io', [...places.flatMap((at) => ['-c', `write -P 0xa5 ${at} 64k`]), image])
  const before = process.resourceUsage().maxRSS
  const disk = join(folder.path, 'disk')
  const result = await deployImage(options({ url: image, type: 'qcow2' }, disk))
  assert.equal(result.virtualSize, size)
  for (const at of places) assert.deepEqual(await readAt(disk, at, 65536), Buffer.alloc(65536, 0xa5))
  assert.ok((await stat(disk)).blocks * 512 < 4 * MiB, 'the disk stays sparse')
  assert.ok(process.resourceUsage().maxRSS - before < 120 * 1024, 'memory stays bounded')
})

/** Deploys and gives the failure that must come. */
async function failureOf(deployment: DeployOptions): Promise<ImagingError> {
  const error = await deployImage(deployment).then(
    () => assert.fail('the deployment succeeded'),
    (failure: unknown) => failure,
  )
  assert.ok(error instanceof ImagingError, String(error))
  return error
}

async function assertFailure(
  deployment: DeployOptions,
  code: ImagingCode,
  disk: DiskState,
): Promise<ImagingError> {
  const error = await failureOf(deployment)
  assert.deepEqual([error.code, error.disk], [code, disk], error.message)
  return error
}

async function assertUnbootable(path: string, size = DISK): Promise<void> {
  for (const at of [0, size - MiB]) {
    assert.ok((await readAt(path, at, MiB)).equals(Buffer.alloc(MiB)), `the boot area at ${at} is not zero`)
  }
}

async function assertUntouched(path: string): Promise<void> {
  assert.ok(
    (await readFile(path)).every((byte) => byte === 0xff),
    'the disk was changed',
  )
}

interface Refusal {
  title: string
  code: ImagingCode
  imageSize?: number
  more?: (path: string) => Partial<DeployOptions>
  type?: 'qcow2'
  serve?: ServeOptions
}

const refusals: Refusal[] = [
  { title: 'an image of another type', code: 'FORMAT', type: 'qcow2' },
  {
    title: 'an image of another type without Range',
    code: 'FORMAT',
    type: 'qcow2',
    serve: { ranges: false },
  },
  { title: 'an image one byte larger than the disk', code: 'DISK', imageSize: DISK + 1 },
  { title: 'a larger image without Range', code: 'DISK', imageSize: DISK + 1, serve: { ranges: false } },
  {
    title: 'a disk of another size',
    code: 'DISK',
    more: (path) => ({ disk: { path, size: DISK - 4096 } }),
  },
  {
    title: 'a config drive without a partition table',
    code: 'CFG',
    more: () => ({
      dataDisk: false,
      configDrive: {
        instanceId: 'i',
        hostname: null,
        sshKey: null,
        userData: null,
        userMetadatas: [],
        phoneHomeUrl: null,
      },
    }),
  },
  { title: 'a cancelled signal', code: 'CANCELLED', more: () => ({ signal: AbortSignal.abort() }) },
]

for (const { title, code, imageSize = IMAGE, more, type, serve: how } of refusals) {
  test(`${title} is refused with ${code} and the disk untouched`, async () => {
    await using folder = await scratch()
    await using server = await serve(await makeRaw(join(folder.path, 'raw'), imageSize), how)
    const path = await usedDisk(join(folder.path, 'disk'), DISK)
    await assertFailure(
      options({ url: server.url, type: type ?? 'raw' }, path, more?.(path)),
      code,
      'untouched',
    )
    await assertUntouched(path)
  })
}

test('a wrong checksum leaves a disk that does not boot and tells both digests', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), DISK)
  const path = await usedDisk(join(folder.path, 'disk'), DISK)
  const checkSum = { type: 'sha256' as const, value: '0'.repeat(64) }
  const error = await assertFailure(options({ url: image, checkSum }, path), 'SUM', 'unbootable')
  assert.equal(error.expected, checkSum.value)
  assert.equal(
    error.got,
    createHash('sha256')
      .update(await readFile(image))
      .digest('hex'),
  )
  await assertUnbootable(path)
})

test('without a permit nothing is published', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), DISK)
  const path = await usedDisk(join(folder.path, 'disk'), DISK)
  const refusal = new ImagingError('CANCELLED', { cause: 'Another epoch runs.', remedy: 'Stop.' })
  await assertFailure(
    options({ url: image }, path, { permit: () => Promise.reject(refusal) }),
    'CANCELLED',
    'unbootable',
  )
  await assertUnbootable(path)
})

test('a cancel ends a stalled download soon and leaves a disk that does not boot', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), DISK)
  await using server = await serve(image, { cutAfter: () => 6 * MiB, silent: true })
  const path = await usedDisk(join(folder.path, 'disk'), DISK)
  const abort = new AbortController()
  let cancelledAt = 0
  const onProgress: DeployOptions['onProgress'] = ({ phase, bytesDone }) => {
    if (phase !== 'write' || bytesDone === 0 || cancelledAt > 0) return
    cancelledAt = performance.now()
    abort.abort()
  }
  await assertFailure(
    options({ url: server.url }, path, { signal: abort.signal, onProgress }),
    'CANCELLED',
    'unbootable',
  )
  assert.ok(performance.now() - cancelledAt < 3000, 'the cancel took long')
  await assertUnbootable(path)
})

test('a file that changes once while it is served is taken from the start again', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), DISK)
  await using server = await serve(image, {
    cutAfter: (request) => (request < 3 ? 6 * MiB : Number.POSITIVE_INFINITY),
    etag: (request) => (request < 3 ? `"${request}"` : '"last"'),
  })
  const path = await usedDisk(join(folder.path, 'disk'), DISK)
  assert.equal((await deployImage(options({ url: server.url }, path))).disk, 'complete')
  await assertSame(path, image)
})

test('a full file system is told as such and leaves a disk that does not boot', {
  skip: needsRoot('mount'),
}, async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), DISK)
  const mountPoint = join(folder.path, 'small')
  await mkdir(mountPoint)
  await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mountPoint])
  try {
    const path = join(mountPoint, 'disk')
    const error = await assertFailure(options({ url: image }, path), 'WRITE', 'unbootable')
    assert.match(error.cause, /no space is left/)
    await assertUnbootable(path)
  } finally {
    await run('umount', [mountPoint])
  }
})

test('a device that is mounted or read-only is refused and stays as it is', {
  skip: needsRoot('losetup', 'mkfs.ext4'),
}, async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), IMAGE)
  const path = join(folder.path, 'disk')
  {
    await using device = await usedLoop(path, DISK, 512, '--read-only')
    const error = await assertFailure(options({ url: image }, device.path), 'DISK', 'untouched')
    assert.match(error.cause, /read-only/)
    await assertUntouched(path)
  }
  await using device = await usedLoop(path, DISK, 512)
  await run('mkfs.ext4', ['-q', device.path])
  const mountPoint = join(folder.path, 'mounted')
  await mkdir(mountPoint)
  await run('mount', [device.path, mountPoint])
  try {
    const error = await assertFailure(options({ url: image }, device.path), 'DISK', 'untouched')
    assert.match(error.cause, /mounted/)
  } finally {
    await run('umount', [mountPoint])
  }
  await run('fsck.ext4', ['-f', '-n', device.path])
})

const noFailingDevice = needsRoot('nbdfuse', 'nbdkit', 'losetup')

interface DeviceFault {
  title: string
  fails: 'writes' | 'flushes'
  /** The fault begins when this phase is first told. */
  from: DeployPhase
  disk: DiskState
}

const deviceFaults: DeviceFault[] = [
  {
    title: 'writes fail before anything was written',
    fails: 'writes',
    from: 'preflight-disk',
    disk: 'unknown',
  },
  {
    title: 'flushes fail before anything was written',
    fails: 'flushes',
    from: 'preflight-disk',
    disk: 'unknown',
  },
  { title: 'writes fail while the image is written', fails: 'writes', from: 'write', disk: 'unbootable' },
  { title: 'flushes fail after the image was written', fails: 'flushes', from: 'write', disk: 'unbootable' },
  {
    title: 'writes fail while the boot areas are written',
    fails: 'writes',
    from: 'publish',
    disk: 'unknown',
  },
  {
    title: 'flushes fail while the boot areas are written',
    fails: 'flushes',
    from: 'publish',
    disk: 'unknown',
  },
]

for (const { title, fails, from, disk } of deviceFaults) {
  test(`when ${title}, that is the error and the disk is ${disk}`, { skip: noFailingDevice }, async () => {
    await using folder = await scratch()
    const image = await makeRaw(join(folder.path, 'raw'), IMAGE)
    await using device = await failingDevice(folder.path)
    const onProgress: DeployOptions['onProgress'] = ({ phase }) => {
      if (phase === from) device.fail(fails)
    }
    const error = await assertFailure(options({ url: image }, device.path, { onProgress }), 'WRITE', disk)
    assert.match(error.cause, /input\/output error/)
    if (disk === 'unbootable') await assertUnbootable(device.path)
  })
}
