/** One image on several disks at once. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  assertSame,
  configDrive,
  failingDevice,
  type ImageFormat,
  lacks,
  makeImage,
  makeRaw,
  MiB,
  needsRoot,
  options,
  readAt,
  run,
  scratch,
  serve,
  usedDisk,
  usedLoop,
} from './deploy-image.fixture.ts'
import { deployImage } from './deploy-image.ts'
import type { DeployOptions, DeployPhase } from './deploy-image.types.ts'
import { type DiskState, type ImagingCode, ImagingError } from './error.ts'

const SMALL = 16 * MiB
const LARGE = 21 * MiB + 4096
const noQemu = lacks('qemu-img', 'qemu-io')

const formats: (ImageFormat & { name: string })[] = [
  { name: 'raw', type: 'raw', convert: null, size: SMALL },
  { name: 'raw that ends early', type: 'raw', convert: null, size: 12 * MiB - 1213 },
  {
    name: 'zlib qcow2 of small clusters',
    type: 'qcow2',
    convert: ['-c', '-o', 'cluster_size=512'],
    size: SMALL,
  },
  { name: 'vmdk', type: 'vmdk', convert: ['-o', 'subformat=streamOptimized'], size: SMALL },
]

async function assertUnbootable(path: string, size: number): Promise<void> {
  for (const at of [0, size - MiB])
    assert.ok((await readAt(path, at, MiB)).equals(Buffer.alloc(MiB)), `${path} at ${at} is not zero`)
}

async function assertUntouched(path: string): Promise<void> {
  assert.ok(
    (await readFile(path)).every((byte) => byte === 0xff),
    `${path} was changed`,
  )
}

async function assertFailure(
  deployment: DeployOptions,
  code: ImagingCode,
  disk: DiskState,
  cause: RegExp,
): Promise<void> {
  await assert.rejects(deployImage(deployment), (error) => {
    assert.ok(error instanceof ImagingError)
    assert.deepEqual([error.code, error.disk], [code, disk], error.message)
    assert.match(error.cause, cause)
    return true
  })
}

for (const format of formats) {
  test(`${format.name} arrives on used files of different sizes, whichever is first`, {
    skip: noQemu,
  }, async () => {
    await using folder = await scratch()
    const { image, raw } = await makeImage(folder.path, format)
    await using plain = await serve(image, { ranges: false })
    const [small, large, third] = ['small', 'large', 'third'].map((name) => join(folder.path, name)) as [
      string,
      string,
      string,
    ]
    for (const order of [
      [small, large],
      [large, third, small],
    ]) {
      for (const path of order) await usedDisk(path, path === small ? SMALL : LARGE)
      const [first = '', ...others] = order
      let permits = 0
      const result = await deployImage(
        options({ url: plain.url, type: format.type }, first, {
          mirrors: others.map((path) => ({ path })),
          permit: () => Promise.resolve(void permits++),
        }),
      )
      assert.deepEqual([result.disk, permits], ['complete', 1])
      for (const path of order) await assertSame(path, raw)
    }
  })

  test(`${format.name} arrives on used devices of different sizes`, {
    skip: noQemu || needsRoot('losetup', 'fallocate'),
  }, async () => {
    await using folder = await scratch()
    const { image, raw } = await makeImage(folder.path, format)
    for (const sectorSize of [512, 4096]) {
      await using small = await usedLoop(join(folder.path, 'small'), SMALL, sectorSize)
      await using large = await usedLoop(join(folder.path, 'large'), LARGE, sectorSize)
      const result = await deployImage(
        options({ url: image, type: format.type }, large.path, { mirrors: [{ path: small.path }] }),
      )
      assert.equal(result.disk, 'complete')
      await assertSame(small.path, raw)
      await assertSame(large.path, raw)
    }
  })
}

test('a file, which is emptied, and a device, which needs zeros, can be mirrors', {
  skip: noQemu || needsRoot('losetup'),
}, async () => {
  await using folder = await scratch()
  const raw = await makeRaw(join(folder.path, 'raw'), 12 * MiB)
  await using device = await usedLoop(join(folder.path, 'store'), SMALL, 512)
  const file = await usedDisk(join(folder.path, 'file'), SMALL)
  const path = process.env['PATH']
  process.env['PATH'] = '/nowhere' // without fallocate, zeros must be written
  await deployImage(options({ url: raw }, file, { mirrors: [{ path: device.path }] })).finally(
    () => (process.env['PATH'] = path),
  )
  await assertSame(file, raw)
  await assertSame(device.path, raw)
})

test('data that waits on the first disk shows through on none', { skip: noQemu }, async () => {
  await using folder = await scratch()
  const [image, raw, noise] = ['image', 'raw', 'noise'].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ]
  const size = 48 * MiB
  await writeFile(noise, randomBytes(8 * MiB))
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', image, String(size)])
  const write = (...places: number[]) =>
    run('qemu-io', [...places.flatMap((at) => ['-c', `write -s ${noise} ${at * MiB} 8M`]), image])
  await write(0, 10, 20, 35)
  await run('qemu-img', ['snapshot', '-c', 'one', image])
  await write(1, 22, 40)
  await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, raw])
  await using plain = await serve(image, { ranges: false })
  const first = await usedDisk(join(folder.path, 'first'), size + 9 * MiB)
  const second = await usedDisk(join(folder.path, 'second'), size)
  await deployImage(
    options({ url: plain.url, type: 'qcow2' }, first, {
      mirrors: [{ path: second }],
      spoolBytes: 4 * MiB,
    }),
  )
  await assertSame(first, raw)
  await assertSame(second, raw)
})

test('each disk has its backup GPT and its config drive at its own end, and its last partition grown to there', {
  skip: lacks('sgdisk', 'sfdisk', 'blkid'),
}, async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), 12 * MiB)
  await run('sgdisk', ['-n', '1:2048:20000', '-t', '1:8300', image])
  const sizes = { first: SMALL, second: LARGE, third: SMALL }
  const paths: string[] = []
  for (const [name, size] of Object.entries(sizes)) paths.push(await usedDisk(join(folder.path, name), size))
  const [first = '', ...others] = paths
  await deployImage(
    options({ url: image }, first, {
      mirrors: others.map((path) => ({ path })),
      dataDisk: false,
      growLastPartition: true,
      configDrive,
    }),
  )
  const drives: number[] = []
  for (const path of paths) {
    assert.match((await run('sgdisk', ['-v', path])).stdout, /No problems found/)
    const { partitiontable } = JSON.parse((await run('sfdisk', ['--json', path])).stdout)
    const [root, drive] = partitiontable.partitions
    assert.equal(root.start + root.size, drive.start)
    drives.push(drive.start * 512)
    const probe = ['-p', '-s', 'LABEL', '-o', 'value', '-O', String(drive.start * 512), path]
    assert.equal((await run('blkid', probe)).stdout.trim(), 'config-2')
  }
  assert.deepEqual(
    drives.map((at, index) => at < Object.values(sizes)[index]! - MiB),
    [true, true, true],
  )
  assert.equal(drives[1]! - drives[0]!, 5 * MiB)
  assert.ok((await readFile(paths[0]!)).equals(await readFile(paths[2]!)), 'disks of one size are the same')
})

const refusals: {
  title: string
  cause: RegExp
  mirror: (path: string) => NonNullable<DeployOptions['mirrors']>
}[] = [
  {
    title: 'a mirror of another size than told',
    cause: /mirror has 16777216 bytes, while 4096 were expected/,
    mirror: (path) => [{ path, size: 4096 }],
  },
  {
    title: 'a mirror that is not there',
    cause: /looking at the disk \/dev\/nowhere/,
    mirror: () => [{ path: '/dev/nowhere' }],
  },
  {
    title: 'a mirror with other sectors',
    cause: /mirror has sectors of 4096 bytes, while .* of 512/,
    mirror: (path) => [{ path, sectorSize: 4096 }],
  },
  {
    title: 'a mirror that is named twice',
    cause: /mirror is named twice/,
    mirror: (path) => [{ path }, { path: join(path, '..', 'mirror') }],
  },
]
for (const { title, cause, mirror } of refusals) {
  test(`${title} is refused with all disks untouched`, async () => {
    await using folder = await scratch()
    const image = await makeRaw(join(folder.path, 'raw'), 12 * MiB)
    const first = await usedDisk(join(folder.path, 'first'), SMALL)
    const path = await usedDisk(join(folder.path, 'mirror'), SMALL)
    await assertFailure(options({ url: image }, first, { mirrors: mirror(path) }), 'DISK', 'untouched', cause)
    await assertUntouched(first)
    await assertUntouched(path)
  })
}

test('a mirror on which the image does not fit is refused with all disks untouched, and named', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), SMALL + 512)
  const first = await usedDisk(join(folder.path, 'first'), LARGE)
  const mirror = await usedDisk(join(folder.path, 'mirror'), SMALL)
  const mirrors = [{ path: mirror }]
  await assertFailure(
    options({ url: image }, first, { mirrors }),
    'DISK',
    'untouched',
    /the disk \S+\/mirror has 16777216/,
  )
  await assertUntouched(first)
  await assertUntouched(mirror)
})

test('a mirror that is mounted, and one that is the first disk, are refused with the first disk untouched', {
  skip: needsRoot('losetup', 'mkfs.ext4', 'mount'),
}, async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), 12 * MiB)
  const store = join(folder.path, 'store')
  await using first = await usedLoop(store, SMALL, 512)
  await assertFailure(
    options({ url: image }, first.path, { mirrors: [{ path: first.path }] }),
    'DISK',
    'untouched',
    /named twice/,
  )
  await using mirror = await usedLoop(join(folder.path, 'mirror'), SMALL, 512)
  await run('mkfs.ext4', ['-q', mirror.path])
  const mountPoint = join(folder.path, 'mounted')
  await mkdir(mountPoint)
  await run('mount', [mirror.path, mountPoint])
  try {
    await assertFailure(
      options({ url: image }, first.path, { mirrors: [{ path: mirror.path }] }),
      'DISK',
      'untouched',
      /mounted/,
    )
  } finally {
    await run('umount', [mountPoint])
  }
  await assertUntouched(store)
})

const faults: { fails: 'writes' | 'flushes'; from: DeployPhase; disk: DiskState }[] = [
  { fails: 'writes', from: 'preflight-disk', disk: 'unknown' },
  { fails: 'writes', from: 'write', disk: 'unbootable' },
  { fails: 'flushes', from: 'write', disk: 'unbootable' },
  { fails: 'writes', from: 'publish', disk: 'unknown' },
]
for (const { fails, from, disk } of faults) {
  test(`when ${fails} of a mirror fail from ${from} on, that is the error, and no other disk boots`, {
    skip: needsRoot('nbdfuse', 'nbdkit', 'losetup'),
  }, async () => {
    await using folder = await scratch()
    const image = await makeRaw(join(folder.path, 'raw'), 12 * MiB)
    const first = await usedDisk(join(folder.path, 'first'), SMALL)
    await using device = await failingDevice(folder.path)
    const onProgress: DeployOptions['onProgress'] = ({ phase }) => {
      if (phase === from) device.fail(fails)
    }
    await assertFailure(
      options({ url: image }, first, { mirrors: [{ path: device.path }], onProgress }),
      'WRITE',
      disk,
      new RegExp(`the disk ${device.path}: .*input/output error`),
    )
    await assertUnbootable(first, SMALL)
    if (disk === 'unbootable') await assertUnbootable(device.path, SMALL)
  })
}

test('when the permit is refused, no disk boots', async () => {
  await using folder = await scratch()
  const image = await makeRaw(join(folder.path, 'raw'), 12 * MiB)
  const first = await usedDisk(join(folder.path, 'first'), LARGE)
  const mirror = await usedDisk(join(folder.path, 'mirror'), SMALL)
  const refusal = new ImagingError('CANCELLED', { cause: 'Another epoch runs.', remedy: 'Stop.' })
  const permit = () => Promise.reject(refusal)
  await assertFailure(
    options({ url: image }, first, { mirrors: [{ path: mirror }], permit }),
    'CANCELLED',
    'unbootable',
    /Another epoch/,
  )
  await assertUnbootable(first, LARGE)
  await assertUnbootable(mirror, SMALL)
})
