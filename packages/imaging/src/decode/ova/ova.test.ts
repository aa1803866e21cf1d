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

const withOvf = (text: string): TarEntry[] => [entry('vm.ovf', text), members.disk]
const xml = ovf.toString()
const header = (change: (header: Buffer) => void): TarEntry[] => [members.ovf, { ...members.disk, change }]

const refused: { what: string; entries?: TarEntry[]; file?: Buffer; code?: string; says?: RegExp }[] = [
  { what: 'no descriptor', entries: [members.disk], says: /begin with its OVF/ },
  { what: 'its descriptor last', entries: [members.disk, members.ovf], says: /begin with its OVF/ },
  {
    what: 'a descriptor of 2 MiB',
    entries: withOvf(`${xml}${' '.repeat(2 << 20)}`),
    says: /more than 1 MiB/,
  },
  { what: 'an empty descriptor', entries: withOvf('') },
  { what: 'a descriptor that is no XML', entries: withOvf('hello') },
  {
    what: 'a descriptor in UTF-16',
    entries: [entry('vm.ovf', Buffer.from(xml, 'utf16le')), members.disk],
    says: /UTF-8/,
  },
  { what: '50,000 elements in each other', entries: withOvf('<a>'.repeat(50_000)), says: /too deep/ },
  {
    what: 'a document type',
    entries: withOvf(`<!DOCTYPE x [<!ENTITY a "b">]>${xml}`),
    says: /document type/,
  },
  { what: 'an entity of its own', entries: withOvf(xml.replace('vmdisk1', '&evil;')), says: /entity/ },
  {
    what: '200,000 numeric references',
    entries: withOvf(xml.replace('vmdisk1', '&#65;'.repeat(200_000))),
    says: /more than 64 KiB/,
  },
  {
    what: 'a tag that closes another',
    entries: withOvf(xml.replace('</ovf:References>', '</ovf:Section>')),
    says: /closes another/,
  },
  {
    what: 'two disks',
    entries: withOvf(xml.replace('</ovf:DiskSection>', '<ovf:Disk ovf:capacity="1"/></ovf:DiskSection>')),
    says: /2 disks/,
  },
  { what: 'no disk', entries: withOvf(xml.replace(/<ovf:Disk .*\/>/, '')), says: /0 disks/ },
  {
    what: 'a disk without its file',
    entries: withOvf(xml.replace('fileRef="file1"', 'fileRef="file2"')),
    says: /does not name one file/,
  },
  {
    what: 'a parent disk',
    entries: withOvf(xml.replace('fileRef', 'parentRef="x" ovf:fileRef')),
    says: /parent/,
  },
  ...['http://127.0.0.1/x', 'file:///etc/passwd', '../disk.vmdk', '/etc/passwd', 'a\\b', ''].map((href) => ({
    what: `a disk at "${href}"`,
    entries: withOvf(xml.replace('disk.vmdk', href)),
    says: /something else than a plain file name/,
  })),
  ...['0', '-5', '2^99999999', '1e9', '99999999999999999', '${capacity}', ''].map((size) => ({
    what: `a capacity of "${size}"`,
    entries: withOvf(xml.replace(`capacity="${capacity}"`, `capacity="${size}"`)),
    says: /impossible capacity/,
  })),
  {
    what: "a capacity that is not the disk's",
    entries: withOvf(ovfOf(capacity + 512)),
    says: /while its descriptor says/,
  },
  {
    what: "another size than the member's",
    entries: withOvf(ovfOf(capacity, 'disk.vmdk', ' ovf:size="5"')),
    says: /descriptor says 5/,
  },
  {
    what: 'a disk in chunks',
    entries: withOvf(xml.replace('ovf:href', 'ovf:chunkSize="5" ovf:href')),
    says: /chunks/,
  },
  {
    what: 'a disk in gzip',
    entries: withOvf(xml.replace('ovf:href', 'ovf:compression="gzip" ovf:href')),
    says: /gzip/,
  },
  { what: 'a disk that is missing', entries: [members.ovf], says: /does not hold the disk/ },
  {
    what: 'a qcow2 inside',
    entries: [members.ovf, entry('disk.vmdk', Buffer.from('QFI\xfb'.padEnd(512), 'latin1'))],
    says: /no sparse extent/,
  },
  {
    what: 'a flat VMDK inside',
    entries: [members.ovf, entry('disk.vmdk', '# Disk DescriptorFile\n'.padEnd(512))],
    says: /no sparse extent/,
  },
  {
    what: 'two members of one name',
    entries: [members.ovf, entry('x', ''), entry('x', ''), members.disk],
    says: /one name/,
  },
  {
    what: 'a second disk of the same name',
    entries: [members.ovf, members.disk, members.disk],
    says: /one name/,
  },
  ...['../disk.vmdk', '/disk.vmdk', 'a/disk.vmdk', '..'].map((name) => ({
    what: `a member called ${name}`,
    entries: [members.ovf, { ...members.disk, name }],
    says: /plain file name/,
  })),
  ...(['1', '2', '3', '4', '5', '6', 'S'] as const).map((type) => ({
    what: `a member of type ${type}`,
    entries: header((it) => void it.write(type, 156)),
    says: /only files/,
  })),
  {
    what: '2000 members',
    entries: [members.ovf, ...Array.from({ length: 2000 }, (_, at) => entry(`file${at}`, '')), members.disk],
    says: /more than 1000/,
  },
  {
    what: 'a MiB of pax records of 5 bytes',
    entries: [
      members.ovf,
      ...Array.from({ length: 15 }, () =>
        entry('p', '5 a=\n'.repeat(13_000), { change: (it) => void it.write('x', 156) }),
      ),
      { ...members.disk, name: '..' },
    ],
    says: /plain file name/,
  },
  { what: 'a prefix in a name', entries: header((it) => void it.write('folder', 345)), says: /in a folder/ },
  {
    what: 'a pax path elsewhere',
    entries: [
      members.ovf,
      entry('p', '25 path=../../etc/passwd\n', { change: (it) => void it.write('x', 156) }),
      members.disk,
    ],
    says: /plain file name/,
  },
  {
    what: 'a pax link',
    entries: [
      members.ovf,
      entry('p', '14 linkpath=x\n', { change: (it) => void it.write('x', 156) }),
      members.disk,
    ],
    says: /link/,
  },
  {
    what: 'a damaged pax header',
    entries: [
      members.ovf,
      entry('p', '999 path=x\n', { change: (it) => void it.write('x', 156) }),
      members.disk,
    ],
    says: /damaged pax/,
  },
  {
    what: 'a size that is not octal',
    entries: header((it) => void it.write('9999999999z', 124)),
    says: /damaged number/,
  },
  {
    what: 'a size of 2^63 - 1',
    entries: header((it) => Buffer.from('800000007fffffffffffffff', 'hex').copy(it, 124)),
    says: /impossible size/,
  },
  {
    what: 'a wrong header checksum',
    entries: [members.ovf, { ...members.disk, spoil: (it: Buffer) => void it.write('zz', 0) }],
    says: /wrong checksum/,
  },
  { what: 'no tar in it', file: Buffer.alloc(4096, 'no tar '), says: /ustar/ },
  { what: 'nothing but zeros', file: Buffer.alloc(4096), says: /begin with its OVF/ },
  {
    what: 'a manifest for another descriptor',
    entries: [
      members.ovf,
      entry('vm.mf', digestLine('SHA256', 'vm.ovf', disk) + digestLine('SHA256', 'disk.vmdk', disk)),
      members.disk,
    ],
    says: /descriptor is not the one/,
  },
  {
    what: 'a manifest for another disk',
    entries: [members.ovf, entry('vm.mf', digestLine('SHA1', 'disk.vmdk', ovf)), members.disk],
    code: 'SUM',
    says: /manifest says/,
  },
  {
    what: 'a manifest behind it for another disk',
    entries: [members.ovf, members.disk, entry('vm.mf', digestLine('SHA1', 'disk.vmdk', ovf))],
    code: 'SUM',
    says: /manifest says/,
  },
  {
    what: 'a manifest without its disk',
    entries: [members.ovf, entry('vm.mf', digestLine('SHA1', 'vm.ovf', ovf)), members.disk],
    says: /does not name its disk/,
  },
  {
    what: 'a manifest in MD5',
    entries: [members.ovf, entry('vm.mf', digestLine('MD5', 'disk.vmdk', disk)), members.disk],
    says: /no SHA1/,
  },
  {
    what: 'a manifest of garbage',
    entries: [members.ovf, entry('vm.mf', 'garbage\n'), members.disk],
    says: /no SHA1/,
  },
  {
    what: 'two manifests',
    entries: [members.ovf, members.mf, { ...members.mf, name: 'b.mf' }, members.disk],
    says: /two manifests/,
  },
  {
    what: 'bytes after its end',
    file: Buffer.concat([makeTar([members.ovf, members.disk]), Buffer.from('more')]),
    says: /goes on after/,
  },
]

describe('an OVA is refused with', () => {
  for (const { what, entries = [], file = makeTar(entries), code = 'FORMAT', says = /./ } of refused) {
    test(what, async () => {
      const began = process.cpuUsage()
      await assert.rejects(
        decode(file),
        (error) => error instanceof ImagingError && error.code === code && says.test(error.cause),
      )
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
