import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../../error.ts'
import { pullStory } from '../pull-story.ts'
import { drive } from '../test-images.ts'
import { contentOf, digestLine, makeTar, makeVmdk, ovfOf, type TarEntry } from '../test-vmdk.ts'
import { findDisk, type FoundDisk } from './find-disk.ts'
import { OvaDecoder } from './ova-stream.ts'

const says =
  (cause: RegExp, code = 'FORMAT') =>
  (error: unknown) =>
    error instanceof ImagingError && error.code === code && cause.test(error.cause)

const disk = makeVmdk()
const capacity = contentOf().length
const ovf = Buffer.from(ovfOf(capacity))
const DISK: TarEntry = { name: 'disk.vmdk', content: disk }
const OVF: TarEntry = { name: 'vm.ovf', content: ovf }
const lines = (word = 'SHA256', content = disk) =>
  digestLine(word, 'vm.ovf', ovf) + digestLine(word, 'disk.vmdk', content)
const mf = (text: string, name = 'vm.mf'): TarEntry => ({ name, content: Buffer.from(text) })
const filled = (content: Buffer, length: number) =>
  Buffer.concat([content, Buffer.alloc(length - content.length, ' ')])
const inBlocks = (content: Buffer) => Math.ceil(content.length / 512) * 512
const typed = (type: string) => ({ change: (header: Buffer) => void header.write(type, 156, 'latin1') })

function find(...entries: TarEntry[]): Promise<FoundDisk> {
  const file = makeTar(entries)
  return pullStory(findDisk(), (from, length) => Promise.resolve(file.subarray(from, from + length)))
}

const decode = (file: Buffer) => {
  const decoder = new OvaDecoder(disk)
  return { decoder, content: drive(decoder, file, 4096) }
}

describe('the disk of an OVA is found', () => {
  test('with all that was learned before it', async () => {
    const found = await find(OVF, mf(lines()), DISK)
    const start = 512 + inBlocks(ovf) + 512 + inBlocks(Buffer.from(lines())) + 512
    assert.deepEqual(found.member, { name: 'disk.vmdk', start, size: disk.length, next: start + disk.length })
    assert.deepEqual([...found.names], ['vm.ovf', 'vm.mf', 'disk.vmdk'])
    assert.deepEqual([...(found.manifest?.keys() ?? [])], ['vm.ovf', 'disk.vmdk'])
    assert.deepEqual(found.descriptor.name, 'vm.ovf')
    assert.equal((await find(OVF, DISK)).manifest, null)
  })

  const good: [what: string, entries: TarEntry[]][] = [
    ['behind a descriptor of 1 MiB', [{ ...OVF, content: filled(ovf, 1 << 20) }, DISK]],
    [
      'behind a manifest of 64 KiB',
      [OVF, { ...mf(''), content: filled(Buffer.from(lines()), 65_536) }, DISK],
    ],
    [
      'behind names in capitals',
      [{ ...OVF, name: 'VM.OVF' }, mf(lines().replace('vm.ovf', 'VM.OVF'), 'VM.MF'), DISK],
    ],
    [
      'under a long name of GNU tar',
      [
        OVF,
        { name: '././@LongLink', content: Buffer.from('disk.vmdk\0'), ...typed('L') },
        { ...DISK, name: 'cut' },
      ],
    ],
    [
      'under the size of a pax header',
      [
        OVF,
        {
          name: 'pax',
          content: Buffer.from(`${`size=${disk.length}`.length + 4} size=${disk.length}\n`),
          ...typed('x'),
        },
        DISK,
      ],
    ],
    [
      'with the size that the descriptor tells',
      [{ ...OVF, content: Buffer.from(ovfOf(capacity, 'disk.vmdk', ` ovf:size="${disk.length}"`)) }, DISK],
    ],
    [
      'as member 1000',
      [
        OVF,
        ...Array.from({ length: 998 }, (_, index) => ({ name: `f${index}`, content: Buffer.alloc(0) })),
        DISK,
      ],
    ],
  ]
  for (const [what, entries] of good)
    test(what, async () => assert.equal((await find(...entries)).member.size, disk.length))

  const bad: [what: string, entries: TarEntry[], cause: RegExp][] = [
    ['nothing', [], /does not begin with its OVF descriptor/],
    ['its disk first', [DISK, OVF], /does not begin with its OVF descriptor/],
    ['its manifest first', [mf(lines()), OVF, DISK], /does not begin with its OVF descriptor/],
    [
      'a descriptor of a byte more than 1 MiB',
      [{ ...OVF, content: filled(ovf, (1 << 20) + 1) }, DISK],
      /descriptor has 1048577 bytes/,
    ],
    [
      'a manifest of a byte more than 64 KiB',
      [OVF, { ...mf(''), content: filled(Buffer.from(lines()), 65_537) }, DISK],
      /manifest has 65537 bytes/,
    ],
    ['no disk', [OVF, mf(lines())], /does not hold the disk/],
    ['a disk of another name', [OVF, { ...DISK, name: 'disk2.vmdk' }], /does not hold the disk/],
    ['two manifests', [OVF, mf(lines()), mf(lines(), 'b.mf'), DISK], /two manifests/],
    [
      'a manifest without its disk',
      [OVF, mf(digestLine('SHA1', 'vm.ovf', ovf)), DISK],
      /does not name its disk/,
    ],
    [
      'a manifest without its descriptor',
      [OVF, mf(digestLine('SHA1', 'disk.vmdk', disk)), DISK],
      /does not name its descriptor/,
    ],
    [
      'a manifest of another descriptor',
      [OVF, mf(digestLine('SHA1', 'vm.ovf', disk) + digestLine('SHA1', 'disk.vmdk', disk)), DISK],
      /not the one that its manifest was made for/,
    ],
    ['a member twice', [OVF, mf('', 'a'), mf('', 'a'), DISK], /two members of one name/],
    ['a second descriptor', [OVF, mf('', 'b.OVF'), DISK], /two descriptors/],
    [
      'a compressed disk',
      [{ ...OVF, content: Buffer.from(ovfOf(capacity, 'disk.vmdk', ' ovf:compression="gzip"')) }, DISK],
      /compressed with gzip/,
    ],
    ...[-1, 1].map((difference): [string, TarEntry[], RegExp] => [
      `a size that is ${difference} off`,
      [
        {
          ...OVF,
          content: Buffer.from(ovfOf(capacity, 'disk.vmdk', ` ovf:size="${disk.length + difference}"`)),
        },
        DISK,
      ],
      new RegExp(`disk has ${disk.length} bytes, while its descriptor says ${disk.length + difference}`),
    ]),
    [
      '1001 members',
      [
        OVF,
        ...Array.from({ length: 999 }, (_, index) => ({ name: `f${index}`, content: Buffer.alloc(0) })),
        DISK,
      ],
      /more than 1000 members/,
    ],
    [
      'a member that ends behind 2^53',
      [
        OVF,
        {
          name: 'big',
          content: Buffer.alloc(0),
          change(header) {
            header.fill(0, 124, 136).writeUInt8(0x80, 124)
            header.writeBigUInt64BE(2n ** 53n - 1n, 128)
          },
        },
      ],
      /impossible size/,
    ],
  ]
  for (const [what, entries, cause] of bad)
    test(`and refused with ${what}`, async () => {
      await assert.rejects(find(...entries), says(cause))
    })
})

describe('an OVA that goes past', () => {
  test('gives extents by their place in the archive, and needs nothing but its disk', () => {
    const file = makeTar([OVF, DISK])
    const decoder = new OvaDecoder(disk)
    const start = 512 + inBlocks(ovf) + 512
    assert.deepEqual(decoder.push(file.subarray(0, 100), 0), { extents: [], held: [] })
    assert.equal(decoder.needsFrom, 100)
    decoder.push(file.subarray(100, start + 128 * 512 + 20), 100)
    assert.equal(decoder.needsFrom, start + 128 * 512 + 12)
    const { extents } = decoder.push(file.subarray(start + 128 * 512 + 20), start + 128 * 512 + 20)
    assert.equal(extents.length, 3)
    assert.equal(extents[0]?.source, start + 128 * 512 + 12)
    assert.equal(decoder.needsFrom, file.length)
    assert.deepEqual(decoder.finish(file.length), { extents: [], held: [] })
    assert.throws(() => decoder.finish(file.length + 1), RangeError)
  })

  test('has its disk compared with a manifest before or behind it, and says where there is none', () => {
    for (const entries of [
      [OVF, mf(lines('SHA512')), DISK],
      [OVF, mf(lines('SHA1')), DISK],
      [OVF, DISK, mf(lines('SHA1'))],
      [OVF, DISK, mf('', 'x'), mf(lines('SHA256'))],
    ])
      assert.deepEqual(decode(makeTar(entries)).decoder.notes, [])
    const { decoder, content } = decode(makeTar([OVF, DISK, mf('any', 'x.iso')]))
    assert.deepEqual(decoder.notes, ['The OVA has no manifest, so its disk was not compared with one.'])
    assert.ok(content.equals(contentOf()))
    assert.deepEqual([decoder.virtualSize, decoder.clusterSize], [capacity, 65_536])
  })

  for (const entries of [
    [OVF, mf(lines('SHA256', ovf)), DISK],
    [OVF, DISK, mf(lines('SHA256', ovf))],
  ])
    test(`has the wrong digest told, with the manifest as member ${entries.findIndex(({ name }) => name === 'vm.mf')}`, () => {
      assert.throws(
        () => decode(makeTar(entries)),
        (error) => {
          assert.ok(
            says(
              /^The sha256 of the OVA's disk is [0-9a-f]{64}, while its manifest says [0-9a-f]{64}\.$/,
              'SUM',
            )(error),
          )
          const digest = (content: Buffer) => digestLine('SHA256', 'x', content).slice(-65, -1)
          assert.ok(
            (error as ImagingError).cause.includes(
              `is ${digest(disk)}, while its manifest says ${digest(ovf)}`,
            ),
          )
          return true
        },
      )
    })

  const bad: [what: string, file: Buffer, cause: RegExp][] = [
    [
      'SHA512 in a manifest behind the disk',
      makeTar([OVF, DISK, mf(lines('SHA512'))]),
      /another kind than SHA1 and SHA256/,
    ],
    [
      'two manifests around its disk',
      makeTar([OVF, mf(lines()), DISK, mf(lines(), 'b.mf')]),
      /two manifests/,
    ],
    ['a second disk of the same name', makeTar([OVF, DISK, DISK]), /two members of one name/],
    ['a descriptor behind its disk', makeTar([OVF, DISK, mf('', 'b.ovf')]), /two descriptors/],
    [
      'another capacity',
      makeTar([{ ...OVF, content: Buffer.from(ovfOf(capacity + 512)) }, DISK]),
      /bytes, while its descriptor says/,
    ],
    [
      'a byte in its last block',
      makeTar([OVF, DISK], Buffer.concat([Buffer.alloc(1023), Buffer.of(1)])),
      /goes on after its end/,
    ],
    ['no end', makeTar([OVF, DISK], Buffer.alloc(0)), /OVA's end never came/],
    ['half an end', makeTar([OVF, DISK], Buffer.alloc(511)), /OVA's end never came/],
  ]
  for (const [what, file, cause] of bad)
    test(`is refused with ${what}`, () => assert.throws(() => decode(file), says(cause)))

  test('may end with one block of zeros, and with many', () => {
    for (const blocks of [1, 2, 20]) decode(makeTar([OVF, DISK], Buffer.alloc(blocks * 512)))
  })
})
