import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guidBytes } from '../table/guid.ts'
import { putMbrEntry } from '../table/mbr.ts'
import { readTable } from '../table/read-table.ts'
import { inputFor, linuxType, makeGpt, makeMbr, MiB, putPartitions } from '../table/testing/make-image.ts'
import { EFI_SYSTEM_GPT, efiPartitions } from './efi-partitions.ts'

async function espsOf(image: Buffer): Promise<[number: number, start: number, sectors: number][]> {
  const table = await readTable(inputFor(image), image.length)
  return efiPartitions(table, image.subarray(0, 512)).map(({ number, startLba, sectors }) => [
    number,
    startLba,
    sectors,
  ])
}

/** A GPT of two partitions, those of `esps` EFI system partitions. */
function gpt(...esps: number[]): Buffer {
  const types = [1, 2].map((slot) => guidBytes(esps.includes(slot) ? EFI_SYSTEM_GPT : linuxType))
  const partitions = [
    { start: 2048, end: 4095, type: types[0] ?? Buffer.alloc(16) },
    { start: 4096, end: 6143, type: types[1] ?? Buffer.alloc(16) },
  ]
  return makeGpt({ partitions })
}

/** Lists a partition in the MBR as well. */
function hybrid(image: Buffer, type: number, startLba: number): Buffer {
  putMbrEntry(image.subarray(0, 512), { number: 2, bootFlag: 0, type, startLba, sectors: 2048 })
  return image
}

const logical = (): Buffer => {
  const image = makeMbr([[1, 0x05, 2048, 4096]])
  putPartitions(image, 2048, [[1, 0xef, 64, 1000]])
  return image
}

const rows: [what: string, image: Buffer, esps: [number: number, start: number, sectors: number][]][] = [
  ['none on a GPT', gpt(), []],
  ['one on a GPT', gpt(2), [[2, 4096, 2048]]],
  [
    'two on a GPT',
    gpt(1, 2),
    [
      [1, 2048, 2048],
      [2, 4096, 2048],
    ],
  ], // prettier-ignore
  ['one on a GPT with a hybrid MBR', hybrid(gpt(1), 0xef, 2048), [[1, 2048, 2048]]],
  ['one on a hybrid MBR only', hybrid(gpt(), 0xef, 4096), [[2, 4096, 2048]]],
  ['none on a hybrid MBR', hybrid(gpt(), 0x83, 4096), []],
  [
    'one on an MBR',
    makeMbr([
      [1, 0x83, 2048, 100],
      [3, 0xef, 4096, 200],
    ]),
    [[3, 4096, 200]],
  ], // prettier-ignore
  ['a logical one on an MBR', logical(), [[5, 2112, 1000]]],
  ['none without a table', Buffer.alloc(4 * MiB), []],
]

for (const [what, image, esps] of rows) {
  test(`EFI system partitions: ${what}`, async () => {
    assert.deepEqual(await espsOf(image), esps)
  })
}

test('on an MBR the disk signature is told, on a GPT the GUID of the partition', async () => {
  const mbr = makeMbr([[1, 0xef, 2048, 100]])
  mbr.writeUInt32LE(0xdeadbeef, 440)
  const ofMbr = efiPartitions(await readTable(inputFor(mbr), mbr.length), mbr.subarray(0, 512))
  assert.deepEqual([ofMbr[0]?.guid, ofMbr[0]?.mbrSignature], [null, 0xdeadbeef])
  const image = gpt(1)
  const [ofGpt] = efiPartitions(await readTable(inputFor(image), image.length), image.subarray(0, 512))
  assert.match(ofGpt?.guid ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  assert.equal(ofGpt?.mbrSignature, null)
})
