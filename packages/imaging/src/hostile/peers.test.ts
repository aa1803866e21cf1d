import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { readTarHeader } from '../decode/ova/tar-header.ts'
import { readManifest } from '../decode/ova/manifest.ts'
import { readOvf } from '../decode/ova/ovf.ts'
import { makeTar, makeVmdk, ovfOf } from '../decode/test-vmdk.ts'
import { VmdkDecoder } from '../decode/vmdk-stream.ts'
import { lacks, MiB, run } from '../deploy-image.fixture.ts'
import type { ImageType } from '../deploy-image.types.ts'
import { type ImagingCode, ImagingError } from '../error.ts'
import { assertRefused, useBench, WAYS } from './judge.ts'

const folder = join(import.meta.dirname, '../../testdata')
const bench = useBench()
const skip = lacks('qemu-img', 'xz', 'bzip2')

interface Expectation {
  type: ImageType
  /** null: it arrives as `qemu-img convert` reads it. */
  refused: { code: ImagingCode | ImagingCode[]; says: RegExp; streamed?: 'unbootable' } | null
  /** The file as it is served, where it is not the peer's own. */
  served?: (peer: Buffer) => Buffer
  diskSize?: number
  sectorSize?: 512 | 4096
  /** Onto a disk that is to boot, with its partition table moved. */
  boots?: boolean
}

const accepted = (type: ImageType, more: Partial<Expectation> = {}): Expectation => ({
  type,
  refused: null,
  ...more,
})
const refused = (type: ImageType, says: RegExp, more: Partial<Expectation> = {}): Expectation => ({
  type,
  refused: { code: 'FORMAT', says },
  ...more,
})
const GPT = /sector/

const peer = (name: string): Buffer => {
  const path = join(folder, name)
  const program = { xz: 'xz', bz2: 'bzip2' }[name.slice(name.lastIndexOf('.') + 1)]
  if (program === undefined) return readFileSync(path)
  return execFileSync(program, ['-dc', path], { maxBuffer: 128 * MiB })
}
const entry = (name: string, content: Buffer | string) => ({ name, content: Buffer.from(content) })
/** An OVA of the descriptor, then other members of the same project. */
const ova =
  (name: string, ...members: string[]) =>
  (descriptor: Buffer): Buffer =>
    makeTar([entry(name, descriptor), ...members.map((path) => entry(basename(path), peer(path)))])
const small = makeVmdk({ capacity: 2 * MiB, grains: new Map() })
const asDescriptor = (text: Buffer): Buffer => makeTar([entry('vm.ovf', text), entry('disk.vmdk', small)])
const xml = refused('ova', /document type, which is not allowed/, { served: asDescriptor })
const GiB = 1024 * MiB

/** Every file in testdata, by folder and name. Whatever is packed is served unpacked, and packed as well. */
const EXPECTED: Record<string, Expectation[]> = {
  'blns/blns.json.xz': [], // see below
  'coreos-installer/gpt-512.xz': [
    accepted('raw', { diskSize: 16 * MiB }),
    accepted('raw', { diskSize: 16 * MiB, boots: true }),
  ],
  'coreos-installer/gpt-512-duplicate-partition-guids.xz': [
    accepted('raw'),
    accepted('raw', { boots: true }),
  ],
  'coreos-installer/gpt-4096.xz': [
    accepted('raw', { diskSize: 16 * MiB, sectorSize: 4096, boots: true }),
    {
      type: 'raw',
      refused: { code: 'GPT', says: GPT, streamed: 'unbootable' },
      diskSize: 16 * MiB,
      boots: true,
    },
  ],
  'cot/ersatz_ovf_3.0.ovf': [refused('ova', /0 disks|no OVF envelope/, { served: asDescriptor })],
  'cot/minimal.ovf': [refused('ova', /0 disks/, { served: asDescriptor })],
  'cot/invalid.ovf': [refused('ova', /OVF/, { served: asDescriptor })],
  'cot/input.ovf': [
    accepted('ova', { served: ova('input.ovf', 'cot/input.vmdk'), diskSize: GiB }),
    accepted('ova', { served: ova('input.ovf', 'cot/input.mf', 'cot/input.vmdk'), diskSize: GiB }),
    refused('ova', /descriptor is not the one/, {
      served: (text) =>
        ova('input.ovf', 'cot/input.mf', 'cot/input.vmdk')(Buffer.concat([text, Buffer.from('\n')])),
      diskSize: GiB,
    }),
  ],
  'cot/input.mf': [refused('ova', /declared as ova/)],
  'cot/v0.9.ovf': [accepted('ova', { served: ova('v0.9.ovf', 'cot/input.vmdk'), diskSize: GiB })],
  'cot/vmware.ovf': [accepted('ova', { served: ova('vmware.ovf', 'cot/input.vmdk'), diskSize: GiB })],
  'cot/input.vmdk': [
    accepted('vmdk', { diskSize: GiB }),
    refused('raw', /declared as raw/),
    refused('qcow2', /declared as qcow2/),
  ],
  'cot/ubuntu.2.0.ovf': [
    accepted('ova', {
      served: ova('ubuntu.2.0.ovf', 'cot/ubuntu.2.0.mf', 'cot/ubuntu.2.0-disk1.vmdk'),
      diskSize: 8 * GiB,
    }),
  ],
  'cot/ubuntu.2.0.mf': [refused('ova', /declared as ova/)],
  'cot/ubuntu.2.0-disk1.vmdk': [
    accepted('vmdk', { diskSize: 8 * GiB }),
    { type: 'vmdk', refused: { code: 'DISK', says: /while the disk .*has/ } },
  ],
  'defusedxml/cyclic.xml': [xml],
  'defusedxml/dtd.xml': [xml],
  'defusedxml/external.xml': [xml],
  'defusedxml/external_file.xml': [xml],
  'defusedxml/quadratic.xml': [xml],
  'defusedxml/xmlbomb.xml': [xml],
  'defusedxml/xmlbomb2.xml': [xml],
  'dfvfs/absolute_paths.tar': [refused('ova', /plain file name/)],
  'dfvfs/mixed_paths.tar': [refused('ova', /plain file name/)],
  'dfvfs/without_directory.tar': [refused('ova', /plain file name/)],
  'dfvfs/ext2.qcow2': [
    accepted('qcow2'),
    accepted('qcow2', { boots: true }),
    refused('raw', /declared as raw/),
  ],
  'dfvfs/ext2.vmdk.xz': [refused('vmdk', /not streamOptimized/)],
  'glance/testserver.ova': [refused('ova', /OVF|cut off|ustar|disk/)],
  'glance/testserver-bad-ovf.ova': [refused('ova', /OVF/)],
  'glance/testserver-no-disk.ova': [refused('ova', /OVF|disk/)],
  'glance/testserver-no-ovf.ova': [refused('ova', /begin with its OVF|ustar/)],
  'glance/testserver-not-tar.ova': [refused('ova', /declared as ova/)],
  'qemu/afl5.img.bz2': [refused('raw', /format vhd/), refused('qcow2', /format vhd/)],
  'qemu/afl9.vmdk.bz2': [refused('vmdk', /./), refused('raw', /format vmdk/)],
  'qemu/empty.bochs.bz2': [refused('raw', /format bochs/)],
  'qemu/iotest-dynamic-1G.vhdx.bz2': [refused('raw', /format vhdx/)],
  'qemu/iotest-version3.vmdk.bz2': [
    accepted('vmdk', { diskSize: 16 * GiB }),
    { type: 'vmdk', refused: { code: 'DISK', says: /while the disk .*has/ } },
  ],
  'qemu/parallels-v1.bz2': [refused('raw', /format parallels/)],
  'qemu/simple-dmg.dmg.bz2': [
    { type: 'raw', refused: { code: 'FORMAT', says: /format dmg/, streamed: 'unbootable' } },
  ],
  'qemu/simple-pattern.cloop.bz2': [refused('raw', /format cloop/)],
  'qemu/virtualpc-dynamic.vhd.bz2': [refused('raw', /format vhd/)],
  'util-linux/gpt.img.xz': [
    accepted('raw', { diskSize: 16 * MiB }),
    accepted('raw', { diskSize: 16 * MiB, boots: true }),
  ],
  'util-linux/dos+bsd.img.xz': [
    accepted('raw', { diskSize: 16 * MiB }),
    accepted('raw', { diskSize: 16 * MiB, boots: true }),
  ],
  'util-linux/luks1.img.xz': [refused('raw', /format luks/)],
  'util-linux/luks2.img.xz': [refused('raw', /format luks/)],
}

test('something is expected of every file of another project', () => {
  const files = globSync('*/*', { cwd: folder }).filter(
    (name) => !name.endsWith('README.md') && !name.startsWith('fuzz/'),
  )
  assert.deepEqual(Object.keys(EXPECTED).toSorted(), files.toSorted())
})

describe('the file of another project', { skip }, () => {
  for (const [name, expectations] of Object.entries(EXPECTED)) {
    for (const [number, expected] of expectations.entries()) {
      const {
        type,
        refused: refusal,
        served = (it: Buffer) => it,
        diskSize = 4 * MiB,
        sectorSize = 512,
        boots = false,
      } = expected
      const more = { dataDisk: !boots, disk: { path: '', sectorSize } }
      test(`${name} (${number + 1}), declared ${type}, ${refusal ? `is refused with ${String(refusal.code)}` : 'arrives as qemu-img reads it'}`, async () => {
        const image = served(peer(name))
        const packed = /\.(xz|bz2)$/.test(name) ? readFileSync(join(folder, name)) : null
        if (refusal === null) return await assertArrives(name, image, packed, expected)
        const row = { row: '', what: name, code: refusal.code, says: refusal.says, diskSize, more }
        const { streamed = 'untouched' } = refusal
        for (const way of WAYS)
          await assertRefused(bench, type, { ...row, streamed, image: () => image }, way)
        if (packed)
          await assertRefused(
            bench,
            type,
            { ...row, disk: streamed, streamed, image: () => packed },
            'by Range',
          )
      })
    }
  }
})

/** The judge compares all of the disk with what it reads in the image; a table that was moved is judged by sgdisk. */
async function assertArrives(
  name: string,
  image: Buffer,
  packed: Buffer | null,
  expected: Expectation,
): Promise<void> {
  const { type, diskSize = 4 * MiB, sectorSize = 512, boots = false } = expected
  const file = `${bench.disk}.image`
  writeFileSync(
    file,
    type === 'ova' ? peer(name.includes('ubuntu') ? 'cot/ubuntu.2.0-disk1.vmdk' : 'cot/input.vmdk') : image,
  )
  const format = type === 'ova' ? 'vmdk' : type
  for (const [served, way] of [
    ...WAYS.map((each) => [image, each] as const),
    ...(packed ? [[packed, 'by Range'] as const] : []),
  ]) {
    await bench.renew(diskSize)
    const result = await bench.deploy(served, type, way, { dataDisk: !boots, disk: { path: '', sectorSize } })
    assert.equal(result.disk, 'complete')
    if (!boots) {
      const { stdout } = await run('qemu-img', ['compare', '-f', format, '-F', 'raw', file, bench.disk])
      assert.match(stdout, /identical/)
    } else if (image.includes('EFI PART') && sectorSize === 512) {
      assert.match((await run('sgdisk', ['-v', bench.disk])).stdout, /No problems found/)
    }
  }
}

describe('no naughty string, as a name inside an image,', { skip }, () => {
  const strings = JSON.parse(skip ? '[]' : peer('blns/blns.json.xz').toString('utf8')) as string[]
  const parsers: Record<string, (text: string) => unknown> = {
    'of the file in an OVF': (text) => readOvf(Buffer.from(ovfOf(2 * MiB, text))),
    'of a member of a tar': (text) => readTarHeader(makeTar([entry(text, '')]).subarray(0, 512)),
    'in a manifest': (text) => readManifest(Buffer.from(`SHA1(${text})= ${'0'.repeat(40)}\n`)),
    'in the descriptor of a VMDK': (text) => {
      const file = makeVmdk({
        capacity: MiB,
        grains: new Map(),
        descriptor: (it) => `${it}${text}\n`.slice(0, 500),
      })
      new VmdkDecoder(file).push(file, 0)
    },
  }
  for (const [where, parse] of Object.entries(parsers)) {
    test(`${where}, ends otherwise than in a value or a refusal`, () => {
      assert.ok(strings.length > 400)
      for (const text of strings) {
        try {
          parse(text)
        } catch (error) {
          assert.ok(error instanceof ImagingError, `${JSON.stringify(text)}: ${String(error)}`)
        }
      }
    })
  }
})
