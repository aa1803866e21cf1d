import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ImagingError } from '../../error.ts'
import { openOva } from '../../pipeline/open-vmdk.ts'
import type { ImageSource } from '../../source/source.ts'
import { drive, sourceOf } from '../test-images.ts'
import { contentOf, digestLine, makeTar, makeVmdk, ovfOf, type TarEntry } from '../test-vmdk.ts'
import { readOvf } from './ovf.ts'
import { ovaRefusals } from './test-ova-refusals.ts'

const testdata = join(import.meta.dirname, '../../../testdata')
const PIECES = [1, 511, 65_537, 1 << 20]

const disk = makeVmdk()
const capacity = contentOf().length
const ovf = Buffer.from(ovfOf(capacity))
const manifest = Buffer.from(digestLine('SHA256', 'vm.ovf', ovf) + digestLine('SHA256', 'disk.vmdk', disk))

const entry = (name: string, content: Buffer | string, more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  content: Buffer.from(content),
  ...more,
})
const members = { ovf: entry('vm.ovf', ovf), mf: entry('vm.mf', manifest), disk: entry('disk.vmdk', disk) }

const open = async (file: Buffer, head = false) => {
  const source = { ...sourceOf(file), shownUrl: '', ranged: !head } as unknown as ImageSource
  return await openOva(source, head ? file.subarray(0, 1 << 20) : null)
}

/** Opens, then decodes as a stream, as a deployment does. */
async function decode(file: Buffer, pieces = 4096, head = false): Promise<Buffer> {
  const image = await open(file, head)
  const { clusterSize } = image
  return drive(
    Object.assign(image.newDecoder(capacity, undefined as never, undefined as never), { clusterSize }),
    file,
    pieces,
  )
}

const good: { what: string; entries: TarEntry[] }[] = [
  { what: 'descriptor, manifest and disk', entries: [members.ovf, members.mf, members.disk] },
  { what: 'its manifest at the end', entries: [members.ovf, members.disk, members.mf] },
  { what: 'no manifest', entries: [members.ovf, members.disk] },
  {
    what: 'other files around the disk',
    entries: [members.ovf, entry('a.iso', 'iso'), members.disk, entry('b.nvram', 'x')],
  },
  {
    what: 'names that begin with ./',
    entries: [
      { ...members.ovf, name: './vm.ovf' },
      { ...members.disk, name: './disk.vmdk' },
    ],
  },
  {
    what: 'a pax header before the disk',
    entries: [
      members.ovf,
      entry('PaxHeaders/disk', '18 path=disk.vmdk\n', { change: (it) => void it.write('x', 156) }),
      { ...members.disk, name: 'cut.vmdk' },
    ],
  },
]

describe('an OVA with', () => {
  for (const { what, entries } of good) {
    for (const pieces of PIECES) {
      test(`${what} comes byte for byte in pieces of ${pieces}`, async () => {
        assert.ok((await decode(makeTar(entries), pieces)).equals(contentOf()))
      })
    }
    test(`${what} comes byte for byte where only its head can be looked at`, async () => {
      assert.ok((await decode(makeTar(entries), 65_536, true)).equals(contentOf()))
    })
  }

  test('a disk is read at will for the preflight', async () => {
    const { view, virtualSize } = await open(makeTar([members.ovf, members.mf, members.disk]))
    assert.equal(virtualSize, capacity)
    assert.ok(Buffer.from(await view.read(60_000, 10_000)).equals(contentOf().subarray(60_000, 70_000)))
  })
})

describe('an OVF descriptor', () => {
  const rows = [
    {
      name: 'input.ovf',
      disk: { href: 'input.vmdk', size: 152_576, capacity: 2 ** 30, compression: 'none' },
    },
    {
      name: 'ubuntu.2.0.ovf',
      disk: { href: 'ubuntu.2.0-disk1.vmdk', size: null, capacity: 2 ** 33, compression: 'none' },
    },
    { name: 'v0.9.ovf', disk: { href: 'input.vmdk', size: 152_576, capacity: 2 ** 30, compression: 'none' } },
    {
      name: 'vmware.ovf',
      disk: { href: 'input.vmdk', size: 152_576, capacity: 2 ** 30, compression: 'none' },
    },
  ]
  for (const { name, disk: expected } of rows) {
    test(`of the public sample ${name} names its disk`, () => {
      assert.deepEqual(readOvf(readFileSync(join(testdata, 'cot', name))), expected)
    })
  }
  for (const name of ['invalid.ovf', 'minimal.ovf']) {
    test(`of the public sample ${name} is refused`, () => {
      assert.throws(() => readOvf(readFileSync(join(testdata, 'cot', name))), ImagingError)
    })
  }
})

describe('an OVA is refused with', () => {
  for (const { row, what, file: make, code, says } of ovaRefusals) {
    test(`${row} ${what}`, async () => {
      const file = make()
      const began = process.cpuUsage()
      await assert.rejects(decode(file), (error) => {
        assert.ok(error instanceof ImagingError, String(error))
        assert.match(error.cause, says)
        return error.code === code
      })
      assert.ok(process.cpuUsage(began).user < 2_000_000, 'at most 2 s of CPU')
    })
  }

  for (const name of [
    'testserver.ova',
    'testserver-no-disk.ova',
    'testserver-bad-ovf.ova',
    'testserver-no-ovf.ova',
    'testserver-not-tar.ova',
  ]) {
    test(`the public sample ${name}`, async () => {
      await assert.rejects(decode(readFileSync(join(testdata, 'glance', name))), ImagingError)
    })
  }

  test('an end at any sector', async () => {
    const whole = makeTar([members.ovf, members.mf, members.disk], Buffer.alloc(512))
    for (let end = 512; end < whole.length - 512; end += 4 * 512) {
      await assert.rejects(decode(whole.subarray(0, end)), ImagingError, `cut at ${end}`)
    }
  })
})
