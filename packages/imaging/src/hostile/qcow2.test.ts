import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { AT, CLUSTER, compressedImage, deflated, plainImage } from '../decode/test-images.ts'
import {
  backingFile,
  bomb,
  compressedBomb,
  dataFile,
  qcow2Refusals,
  wideImage,
} from '../decode/test-qcow2-refusals.ts'
import { MiB } from '../deploy-image.fixture.ts'
import {
  assertCheap,
  assertRefused,
  cost,
  type Refusal,
  spread,
  testRefusals,
  useBench,
  WAYS,
} from './judge.ts'

const bench = useBench()

describe('a qcow2 image that cannot be right', () => {
  testRefusals(
    bench,
    'qcow2',
    spread(qcow2Refusals, 5).map(({ row, what, image, says, code, inHeader }) => ({
      row,
      what,
      image,
      // On this smaller disk other checks may come first; an empty file is no image at all.
      code:
        row === 'I5.59' || row === 'I5.64' ? ['DISK', 'FORMAT'] : row === 'I5.66' ? [code, 'DOWNLOAD'] : code,
      says:
        row === 'I5.59' || row === 'I5.64'
          ? /bytes, (but|while) the disk .*has|more than its tables|again and again|virtual size/
          : says,
      streamed: inHeader ? 'untouched' : 'unbootable',
    })),
  )
})

describe('a qcow2 image that only its data or its size betrays', () => {
  const rows: Refusal[] = [
    {
      row: 'I5.58',
      what: 'an L1 table of 2^22 entries in 32 KiB of gzip',
      image: () => gzipSync(wideImage(2 ** 22, 0n)),
      code: 'FORMAT',
      says: /clusters are too small/,
      diskSize: 2 ** 37,
    },
    ...[(image: Buffer): Buffer => image, (image: Buffer): Buffer => gzipSync(image)].map(
      (pack, index): Refusal => ({
        row: 'I5.64',
        what: `one L2 table shared by 2^20 L1 entries${index === 0 ? '' : ', in gzip'}`,
        image: () => pack(wideImage(2 ** 20, 1024n, 2048n + 8n * 2n ** 20n)),
        code: 'FORMAT',
        says: /again and again/,
        disk: 'unbootable',
        diskSize: 2 ** 35,
      }),
    ),
    {
      row: 'I5.64',
      what: '512 GiB in 589 KB, on a disk of 1 TiB',
      image: bomb,
      code: 'FORMAT',
      says: /again and again/,
      streamed: 'unbootable',
      diskSize: 2 ** 40,
    },
    {
      row: 'I5.64',
      what: 'one compressed cluster shown 3.8 million times',
      image: compressedBomb,
      code: 'FORMAT',
      says: /again and again/,
      streamed: 'unbootable',
      diskSize: 4 * 1024 * MiB,
    },
    ...[
      { what: 'garbage', stream: Buffer.alloc(600, 0xff), says: /is damaged/ },
      { what: 'a cut stream', stream: deflated(CLUSTER).subarray(0, -4), says: /damaged|too short|too long/ },
      { what: 'a byte too few', stream: deflated(CLUSTER - 1), says: /too short/ },
      { what: '50 times too much', stream: deflated(50 * CLUSTER), says: /too long/ },
    ].map(
      ({ what, stream, says }): Refusal => ({
        row: 'I5.65',
        what: `${what} in a compressed cluster`,
        image: () => compressedImage(stream),
        code: 'WRITE',
        says,
        disk: 'unbootable',
      }),
    ),
  ]
  testRefusals(bench, 'qcow2', rows)

  for (const cut of [AT.l1, AT.l2 + 9, AT.data + CLUSTER, 8 * CLUSTER - 512]) {
    test(`I5.66 an end at ${cut} of a file whose length is not told: never zeros instead of data`, () =>
      assertRefused(
        bench,
        'qcow2',
        {
          row: 'I5.66',
          what: '',
          image: () => plainImage().subarray(0, cut),
          code: 'FORMAT',
          says: /cut off/,
          disk: 'unbootable',
        },
        'in chunks',
      ))
  }
})

for (const way of WAYS) {
  test(`I5.58 an L1 table of 2^20 entries that name one empty table costs no memory ${way}`, async () => {
    await bench.renew(2 ** 35)
    const image = wideImage(2 ** 20, 1024n)
    const since = cost()
    assert.equal((await bench.deploy(image, 'qcow2', way)).disk, 'complete')
    assertCheap({ ...since(), cpu: 0 })
  })
}

test('I5.53 I5.54 names inside an image are neither opened nor connected to', async () => {
  let connections = 0
  const listener = createServer((socket) => {
    connections++
    socket.destroy()
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const folder = await mkdtemp(join(tmpdir(), 'byoi-canary-'))
  try {
    const canary = join(folder, 'canary')
    await writeFile(canary, 'secret of another tenant')
    await utimes(canary, new Date(0), new Date()) // which the first reader changes
    const { port } = listener.address() as AddressInfo
    const names = [
      canary,
      `json:{"driver":"file","filename":"${canary}"}`,
      `http://127.0.0.1:${port}/`,
      `nbd://127.0.0.1:${port}/x`,
    ]
    for (const name of names) {
      for (const image of [backingFile(name), dataFile(name, 4n), dataFile(name, 0n)]) {
        for (const way of WAYS) {
          const says = /backing files are not allowed|external data file/
          const row = { row: 'I5.53', what: name, image: () => image, code: 'FORMAT', says } as const
          await assertRefused(bench, 'qcow2', row, way)
        }
      }
    }
    assert.equal((await stat(canary)).atimeMs, 0, 'the canary was read')
    assert.equal(connections, 0)
  } finally {
    listener.close()
    await rm(folder, { recursive: true })
  }
})
