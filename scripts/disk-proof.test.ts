import assert from 'node:assert/strict'
import { copyFile, mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { missingTools, widenPath } from './debian-packages.ts'
import { proveDisk } from './disk-proof.ts'
import { smallImage, smallImageTools, type SmallImage } from './small-image.ts'

widenPath()
const missing = missingTools({ ...smallImageTools, sgdisk: 'gdisk' })
const mib = 1024 * 1024

describe('The proof of a disk fails', { skip: missing.length > 0 && `absent: ${missing.join(', ')}` }, () => {
  let folder: string
  let image: SmallImage
  let disk: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'byoi-proof-'))
    image = await smallImage(folder, 'image', 16, 'raw')
    disk = join(folder, 'disk')
  })
  after(() => rm(folder, { recursive: true }))

  const overwrite = async (at: number): Promise<void> => {
    await copyFile(image.path, disk)
    const file = await open(disk, 'r+')
    await file.write('damage', at)
    await file.close()
  }

  const cases = [
    { name: 'nowhere, for a copy of the image', make: () => copyFile(image.path, disk), fails: [] },
    { name: 'for one byte in the middle', make: () => overwrite(8 * mib + 7), fails: ['byte for byte'] },
    { name: 'for one byte of the boot code', make: () => overwrite(100), fails: ['byte for byte'] },
    {
      name: 'for the last byte before the backup table',
      make: () => overwrite(16 * mib - 33 * 512 - 6),
      fails: ['byte for byte'],
    },
    { name: 'for a damaged backup header', make: () => overwrite(16 * mib - 500), fails: ['both GPTs'] },
    { name: 'for a damaged primary header', make: () => overwrite(512 + 20), fails: ['both GPTs'] },
    {
      name: 'for a backup table that is not at the end',
      make: async () => {
        await copyFile(image.path, disk)
        await truncate(disk, 64 * mib)
      },
      fails: ['both GPTs'],
    },
    {
      name: 'for an empty disk',
      make: async () => {
        await writeFile(disk, '')
        await truncate(disk, 64 * mib)
      },
      fails: ['byte for byte', 'partitions', 'both GPTs'],
    },
  ]
  for (const { name, make, fails } of cases) {
    test(name, async () => {
      await rm(disk, { force: true })
      await make()
      const failed = (await proveDisk(disk, image.path, 'raw', folder))
        .filter((each) => each.result !== 'holds')
        .map((each) => each.what)
      assert.equal(failed.length, fails.length, failed.join('; '))
      for (const part of fails)
        assert.ok(
          failed.some((what) => what.includes(part)),
          failed.join('; '),
        )
    })
  }
})
