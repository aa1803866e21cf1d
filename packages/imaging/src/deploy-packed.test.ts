import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ovfOf } from './decode/test-vmdk.ts'
import {
  assertSame,
  lacks,
  makeRaw,
  MiB,
  options,
  readAt,
  run,
  scratch,
  serve,
  usedDisk,
} from './deploy-image.fixture.ts'
import { deployImage } from './deploy-image.ts'
import type { DeployProgress, ImageType } from './deploy-image.types.ts'
import { type ImagingCode, ImagingError } from './error.ts'
import { inspectImage } from './inspect-image.ts'

const IMAGE = 12 * MiB
const DISK = 16 * MiB
const skip = lacks('qemu-img', 'tar', 'gzip', 'xz', 'zstd', 'bzip2')
const programs = ['gzip', 'xz', 'zstd', 'bzip2'] as const
const types = ['raw', 'qcow2', 'vmdk', 'ova'] satisfies ImageType[]

/** The raw content, and an image of it. */
async function imageOf(folder: string, type: ImageType): Promise<{ raw: string; image: string }> {
  const raw = await makeRaw(join(folder, 'raw'), IMAGE)
  if (type === 'raw') return { raw, image: raw }
  const image = join(folder, type)
  const form = type === 'qcow2' ? ['-O', 'qcow2'] : ['-O', 'vmdk', '-o', 'subformat=streamOptimized']
  await run('qemu-img', ['convert', '-f', 'raw', ...form, raw, image])
  if (type !== 'ova') return { raw, image }
  await rename(image, join(folder, 'disk.vmdk'))
  await writeFile(join(folder, 'vm.ovf'), ovfOf(IMAGE))
  await run('tar', ['--format=ustar', '-C', folder, '-cf', image, 'vm.ovf', 'disk.vmdk'])
  return { raw, image }
}

/** Packs a file beside itself, as a person does; returns the new name. */
async function pack(program: (typeof programs)[number], path: string): Promise<string> {
  const packed = `${path}.${program}`
  const { stdout } = await run(program, ['-c', path], { encoding: 'buffer', maxBuffer: 64 * MiB })
  await writeFile(packed, stdout)
  return packed
}

const sha256 = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

const endsIn =
  (code: ImagingCode, says: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ImagingError)
    assert.equal(error.code, code)
    assert.match(error.cause, says)
    return true
  }

for (const type of types) {
  for (const program of programs) {
    test(`${type} inside ${program} arrives ${type === 'raw' ? 'by Range, without Range, in chunks and from a file' : 'by Range'}`, {
      skip,
    }, async () => {
      await using folder = await scratch()
      const { raw, image } = await imageOf(folder.path, type)
      const packed = await pack(program, image)
      const { size } = await stat(packed)
      await using ranged = await serve(packed)
      await using plain = await serve(packed, { ranges: false })
      await using chunked = await serve(packed, { ranges: false, chunked: true })
      const checkSum = { type: 'sha256', value: await sha256(packed) } as const
      // What is packed streams in any case, so that the other types need not come in every way.
      for (const url of type === 'raw' ? [ranged.url, plain.url, chunked.url, packed] : [ranged.url]) {
        const disk = await usedDisk(join(folder.path, 'disk'), DISK)
        const seen: DeployProgress[] = []
        const result = await deployImage(
          options({ url, type, checkSum }, disk, { onProgress: (progress) => seen.push(progress) }),
        )
        assert.deepEqual(
          [result.disk, result.checkSum, result.bytesServed, result.virtualSize],
          ['complete', checkSum.value, size, IMAGE],
        )
        const writing = seen.filter(({ phase, bytesDone }) => phase === 'write' && bytesDone > 0)
        assert.ok(writing.every(({ bytesDone }) => bytesDone <= size))
        assert.equal(writing.at(-1)?.bytesTotal, url === chunked.url ? null : size)
        await assertSame(disk, raw)
      }
    })
  }
}

describe('of a packed image', { skip }, () => {
  test('the digest is compared with that of the served bytes, of every kind, and not of the content', async () => {
    await using folder = await scratch()
    const raw = await makeRaw(join(folder.path, 'raw'), IMAGE)
    const packed = await pack('gzip', raw)
    const disk = await usedDisk(join(folder.path, 'disk'), DISK)
    for (const type of ['md5', 'sha1', 'sha256', 'sha512'] as const) {
      const value = createHash(type)
        .update(await readFile(packed))
        .digest('hex')
      const result = await deployImage(options({ url: packed, checkSum: { type, value } }, disk))
      assert.deepEqual([result.checkSum, result.checkSumType], [value, type])
    }
    const ofContent = { type: 'sha256', value: await sha256(raw) } as const
    await assert.rejects(
      deployImage(options({ url: packed, checkSum: ofContent }, disk)),
      endsIn('SUM', /sha256 of the downloaded file/),
    )
    assert.ok((await readAt(disk, 0, MiB)).every((byte) => byte === 0))
  })

  for (const program of programs) {
    test(`a lost connection goes on where it stopped, inside ${program}`, async () => {
      await using folder = await scratch()
      const raw = await makeRaw(join(folder.path, 'raw'), IMAGE)
      const packed = await pack(program, raw)
      const { size } = await stat(packed)
      await using server = await serve(packed, { cutAfter: (request) => (request < 5 ? size >> 2 : size) })
      const disk = await usedDisk(join(folder.path, 'disk'), DISK)
      const { checkSum } = await deployImage(options({ url: server.url }, disk))
      assert.equal(checkSum, await sha256(packed))
      await assertSame(disk, raw)
    })

    test(`damage in ${program} leaves a disk that does not boot`, async () => {
      await using folder = await scratch()
      const packed = await pack(program, await makeRaw(join(folder.path, 'raw'), IMAGE))
      await writeFile(packed, (await readFile(packed)).subarray(0, -5))
      const disk = await usedDisk(join(folder.path, 'disk'), DISK)
      await assert.rejects(
        deployImage(options({ url: packed }, disk)),
        endsIn('WRITE', new RegExp(`${program} file around the image`)),
      )
      assert.ok((await readAt(disk, 0, MiB)).every((byte) => byte === 0))
    })

    test(`a cancel ends a download that stalls inside ${program}`, async () => {
      await using folder = await scratch()
      const packed = await pack(program, await makeRaw(join(folder.path, 'raw'), IMAGE))
      const { size } = await stat(packed)
      await using server = await serve(packed, { ranges: false, cutAfter: () => size - 9, silent: true })
      const disk = await usedDisk(join(folder.path, 'disk'), DISK)
      const cancel = new AbortController()
      const onProgress = ({ phase, bytesDone }: DeployProgress) => {
        if (phase === 'write' && bytesDone > 0) setImmediate(() => cancel.abort())
      }
      await assert.rejects(
        deployImage(options({ url: server.url }, disk, { signal: cancel.signal, onProgress })),
        endsIn('CANCELLED', /cancelled/),
      )
    })
  }

  test('what is packed twice is refused with the disk untouched', async () => {
    await using folder = await scratch()
    const packed = await pack('xz', await pack('gzip', await makeRaw(join(folder.path, 'raw'), IMAGE)))
    const disk = await usedDisk(join(folder.path, 'disk'), DISK)
    await assert.rejects(deployImage(options({ url: packed }, disk)), (error) => {
      assert.ok(error instanceof ImagingError)
      assert.deepEqual([error.code, error.disk], ['FORMAT', 'untouched'])
      assert.match(error.remedy, /packed once only/)
      return true
    })
  })

  test('what is larger than the disk is refused', async () => {
    await using folder = await scratch()
    const packed = await pack('xz', await makeRaw(join(folder.path, 'raw'), IMAGE))
    const disk = await usedDisk(join(folder.path, 'disk'), 8 * MiB)
    await assert.rejects(deployImage(options({ url: packed }, disk)), endsIn('DISK', /at least \d+ bytes/))
  })

  test('inspection looks at the head and tells how it is packed', async () => {
    await using folder = await scratch()
    for (const [index, type] of types.entries()) {
      const program = programs[index] as (typeof programs)[number]
      const packed = await pack(program, (await imageOf(folder.path, type)).image)
      const { addressPolicy } = options({ url: packed }, '')
      const request = { url: packed, file: true, httpHeader: [], type: null }
      const { found } = await inspectImage({ image: request, boot: null, bus: null, addressPolicy })
      assert.deepEqual(
        [found.format, found.packing, found.ranged, found.bytesServed, found.virtualSize],
        [type, program, false, (await stat(packed)).size, type === 'raw' ? null : IMAGE],
      )
      assert.match(found.warnings.join(), new RegExp(`packed by ${program}, so only its head`))
    }
  })
})
