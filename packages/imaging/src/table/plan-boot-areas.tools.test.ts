import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { type BootAreas, BOOT_AREA } from './boot-areas.types.ts'
import { planBootAreas } from './plan-boot-areas.ts'
import { makeGpt, MiB } from './testing/make-image.ts'
import { lacking, runTool } from './testing/run-tool.ts'

/** Partition tables before and after, as sfdisk, sgdisk and parted read them. */
let directory = ''
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'byoi-table-'))
})
after(() => {
  rmSync(directory, { recursive: true, force: true })
})

const fresh = (name: string, size: number): string => {
  const path = join(directory, name)
  writeFileSync(path, '')
  truncateSync(path, size)
  return path
}

/** Lays `image` onto a disk file whose end still holds the GPT of an earlier owner. */
async function deploy(
  image: string,
  options: { diskSize: number; sectorSize?: 512 | 4096; configDriveBytes?: number },
): Promise<{ disk: string; plan: BootAreas }> {
  const { diskSize, sectorSize = 512, configDriveBytes = 0 } = options
  const disk = `${image}.disk`
  copyFileSync(image, disk)
  const source = await open(image)
  const target = await open(disk, 'r+')
  try {
    const { size: imageSize } = await source.stat()
    const stale = makeGpt({ sectorSize, size: MiB, partitions: [{ start: 40, end: 45, name: 'stale' }] })
    if (imageSize + MiB <= diskSize) await target.write(stale, 0, stale.length, diskSize - stale.length)
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const { bytesRead, buffer } = await source.read(Buffer.alloc(length), 0, length, offset)
      assert.equal(bytesRead, length)
      return buffer
    }
    const plan = await planBootAreas({ imageSize, diskSize, sectorSize, configDriveBytes, read })
    await target.write(plan.head, 0, BOOT_AREA, 0)
    await target.write(plan.tail, 0, BOOT_AREA, diskSize - BOOT_AREA)
    return { disk, plan }
  } finally {
    await source.close()
    await target.close()
  }
}

/** Runs `use` on a loop device with 4096 byte sectors over `file`. */
function withLoop4096<T>(file: string, use: (device: string) => T): T {
  const device = runTool('losetup', ['-f', '--show', '-b', '4096', file]).trim()
  try {
    return use(device)
  } finally {
    runTool('losetup', ['-d', device])
  }
}

type Reader = (path: string) => unknown[]

const bySfdisk: Reader = (path) => {
  const table = JSON.parse(runTool('sfdisk', ['--json', path])).partitiontable
  return table.partitions.map((entry: { node: string }) => ({
    ...entry,
    node: entry.node.replace(/.*\D/, ''),
  }))
}

const bySgdisk: Reader = (path) => {
  const numbers = [...runTool('sgdisk', ['-p', path]).matchAll(/^ +(\d+) +\d+ +\d+ /gm)].map(
    (match) => match[1],
  )
  return runTool('sgdisk', [...numbers.flatMap((number) => ['-i', String(number)]), path]).split(
    /(?=^Partition GUID code)/m,
  )
}

const byParted: Reader = (path) =>
  runTool('parted', ['-m', '-s', path, 'unit', 's', 'print'])
    .split('\n')
    .filter((line) => /^\d+:/.test(line))

const gptReaders: Record<string, Reader> = { sfdisk: bySfdisk, sgdisk: bySgdisk, parted: byParted }
const mbrReaders: Record<string, Reader> = { sfdisk: bySfdisk, parted: byParted }

function assertSound(path: string): void {
  assert.match(runTool('sgdisk', ['-v', path]), /No problems found/)
  assert.match(runTool('sfdisk', ['--verify', path]), /No errors detected/)
}

/** All tools must agree that the list is the image's, and that only ours was added. */
function assertSameList(readers: Record<string, Reader>, image: string, disk: string, added: number): void {
  for (const [name, read] of Object.entries(readers)) {
    const [old, now] = [read(image), read(disk)]
    assert.ok(old.length > 0, name)
    assert.equal(now.length, old.length + added, name)
    for (const entry of old) {
      assert.ok(
        now.some((other) => JSON.stringify(other) === JSON.stringify(entry)),
        `${name}: ${JSON.stringify(entry)}`,
      )
    }
  }
}

const gptTools = ['sgdisk', 'sfdisk', 'parted', 'xz']
const fixtures = new URL('../../testdata/coreos-installer/', import.meta.url).pathname

const unpack = (name: string): string => {
  const path = join(directory, `${name}.img`)
  const run = spawnSync('xz', ['-dc', join(fixtures, `${name}.xz`)], { maxBuffer: 64 * MiB })
  writeFileSync(path, run.stdout)
  return path
}

const sgdiskImage = (name: string, args: string[]): string => {
  const path = fresh(name, 16 * MiB)
  runTool('sgdisk', [...args, path])
  return path
}

const sfdiskImage = (name: string, script: string): string => {
  const path = fresh(name, 16 * MiB)
  runTool('sfdisk', ['-q', path], { input: script })
  return path
}

suite('sfdisk, sgdisk and parted read the same GPT partitions before and after', () => {
  const cloud = [
    '-n',
    '1:2048:+1M',
    '-t',
    '1:ef02',
    '-n',
    '2:4096:+2M',
    '-t',
    '2:ef00',
    '-c',
    '2:ESP Größe €',
    '-A',
    '2:set:0',
  ]
  const rows: [name: string, make: () => string, diskSizes: number[], ownConfig?: boolean][] = [
    [
      'of coreos-installer, 512 bytes',
      () => unpack('gpt-512'),
      [10 * MiB, 10 * MiB + 512, 14 * MiB, 3 * 2 ** 40],
    ],
    [
      'of coreos-installer, shared GUIDs',
      () => unpack('gpt-512-duplicate-partition-guids'),
      [2 * MiB, 9 * MiB],
    ],
    [
      'of a cloud image',
      () => sgdiskImage('cloud', [...cloud, '-N', '15', '-t', '15:8304', '-A', '15:set:59']),
      [16 * MiB, 17 * MiB - 512, 40 * MiB],
    ],
    [
      'out of order',
      () => sgdiskImage('order', ['-n', '5:20000:+1M', '-n', '2:2048:+1M', '-n', '9:8000:+1M']),
      [20 * MiB],
    ],
    [
      'with all but one of 128 entries used',
      () =>
        sgdiskImage(
          'full',
          Array.from({ length: 127 }, (_, i) => ['-a', '1', '-n', `${i + 1}:${2048 + i}:${2048 + i}`]).flat(),
        ),
      [20 * MiB],
    ],
    [
      'with its array moved behind boot code',
      () => sgdiskImage('moved', ['-j', '1024', '-n', '1:4096:+1M']),
      [20 * MiB],
    ],
    [
      'of 4 entries',
      () => sfdiskImage('four', 'label: gpt\ntable-length: 4\nstart=2048,size=4096\nstart=8192,size=24000\n'),
      [16 * MiB, 20 * MiB],
    ],
    [
      'of 200 entries',
      () => sfdiskImage('long', 'label: gpt\ntable-length: 200\nstart=2048,size=4096,name=boot\n'),
      [20 * MiB],
    ],
  ]
  for (const [name, make, diskSizes] of rows) {
    test(`${name}.`, { skip: lacking(...gptTools) }, async () => {
      const image = make()
      for (const diskSize of diskSizes) {
        const { disk } = await deploy(image, { diskSize })
        assertSound(disk)
        assertSameList(gptReaders, image, disk, 0)
        rmSync(disk)
      }
      const diskSize = readFileSync(image).length + 6 * MiB + 512
      const { disk, plan } = await deploy(image, { diskSize, configDriveBytes: MiB })
      assertSound(disk)
      assertSameList(gptReaders, image, disk, 1)
      const [drive] = bySfdisk(disk).filter((entry) => (entry as { name?: string }).name === 'config-2') as {
        start: number
        size: number
      }[]
      assert.ok(drive)
      assert.deepEqual(plan.configDrive, { offset: drive.start * 512, length: drive.size * 512 })
    })
  }

  test('of a disk repaired from its backup.', { skip: lacking(...gptTools) }, async () => {
    const image = sgdiskImage('repair', cloud)
    const broken = join(directory, 'broken')
    const bytes = readFileSync(image)
    bytes.fill(0x55, 512, 34 * 512)
    writeFileSync(broken, bytes)
    const { disk, plan } = await deploy(broken, { diskSize: 30 * MiB, configDriveBytes: MiB })
    assert.match(plan.notes.join(), /repaired from the backup/)
    assertSound(disk)
    assertSameList(gptReaders, image, disk, 1)
  })

  test('of an entry array behind the first MiB, to which no config drive can be added.', {
    skip: lacking(...gptTools),
  }, async () => {
    const image = sgdiskImage('far', ['-j', '4096', '-n', '1:8192:+1M'])
    const { disk } = await deploy(image, { diskSize: 30 * MiB })
    assertSound(disk)
    assertSameList(gptReaders, image, disk, 0)
    await assert.rejects(
      deploy(image, { diskSize: 30 * MiB, configDriveBytes: MiB }),
      /CFG: .*outside the first MiB/,
    )
  })

  test('of a hybrid MBR, which stays as it is.', { skip: lacking(...gptTools) }, async () => {
    const image = sgdiskImage('hybrid', cloud)
    runTool('sgdisk', ['-h', '1:2', image])
    const { disk } = await deploy(image, { diskSize: 30 * MiB, configDriveBytes: MiB })
    assert.deepEqual(readFileSync(disk).subarray(0, 512), readFileSync(image).subarray(0, 512))
    assert.match(runTool('sgdisk', ['-v', disk]), /No problems found/)
    assertSameList({ sgdisk: bySgdisk }, image, disk, 1)
  })
})

suite('on 4096 byte sectors', () => {
  const skip = process.getuid?.() === 0 ? lacking(...gptTools, 'losetup') : 'loop devices need root'
  test('the GPT of coreos-installer keeps its partitions for all three readers.', { skip }, async () => {
    const image = unpack('gpt-4096')
    for (const configDriveBytes of [0, MiB]) {
      const { disk } = await deploy(image, { diskSize: 20 * MiB + 4096, sectorSize: 4096, configDriveBytes })
      const added = configDriveBytes === 0 ? 0 : 1
      withLoop4096(image, (before) => {
        withLoop4096(disk, (now) => {
          assertSound(now)
          assertSameList(gptReaders, before, now, added)
        })
      })
    }
  })
})

suite('sfdisk and parted read the same MBR partitions before and after', () => {
  const rows: [name: string, script: string][] = [
    ['one primary', 'label: dos\nstart=2048,size=4096,type=83,bootable\n'],
    [
      'three primaries',
      'label: dos\nstart=2048,size=4096,type=ef\nstart=8192,size=4096\nstart=14000,size=900,type=7\n',
    ],
    [
      'logical partitions',
      'label: dos\nstart=2048,size=4096\nstart=8192,size=16000,type=f\nstart=10240,size=2048\nstart=14336,size=2048\n',
    ],
  ]
  for (const [name, script] of rows) {
    test(`${name}.`, { skip: lacking('sfdisk', 'parted') }, async () => {
      const image = sfdiskImage('mbr', script)
      for (const configDriveBytes of [0, MiB]) {
        const { disk } = await deploy(image, { diskSize: 24 * MiB + 512, configDriveBytes })
        assert.match(runTool('sfdisk', ['--verify', disk]), /No errors detected/)
        assertSameList(mbrReaders, image, disk, configDriveBytes === 0 ? 0 : 1)
      }
    })
  }
})
