import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { ovaRefusals } from '../decode/ova/test-ova-refusals.ts'
import { grainOf, makeTar, makeVmdk, ovfOf } from '../decode/test-vmdk.ts'
import { hostileVmdk, vmdkRefusals } from '../decode/test-vmdk-refusals.ts'
import { MiB } from '../deploy-image.fixture.ts'
import { assertRefused, type Refusal, spread, testRefusals, useBench, WAYS } from './judge.ts'

const bench = useBench()

/** With what the preflight, which goes by the tables, may say before the stream, which goes by the markers. */
function alsoBy(row: string, says: RegExp): RegExp {
  const more: Record<string, string> = {
    'I6.73': 'while the disk .*has',
    'I6.75': 'behind its end',
    'I6.76': 'different images',
    'I6.77': 'behind its end|is damaged',
  }
  return more[row] === undefined ? says : new RegExp(`${says.source}|${more[row]}`)
}

describe('a VMDK that cannot be right', () => {
  const rows = spread(vmdkRefusals, 3).map((refusal): Refusal => {
    const { row, what, says, inHeader } = refusal
    return {
      row,
      what,
      image: () => hostileVmdk(refusal),
      // Some capacities are too large for this disk before they are impossible.
      code: row === 'I6.77' ? ['FORMAT', 'WRITE'] : ['FORMAT', 'DISK'],
      says: alsoBy(row, says),
      disk: inHeader ? 'untouched' : 'unbootable',
      diskSize: 80 * MiB,
    }
  })
  testRefusals(bench, 'vmdk', rows)

  const text = (type: string, extent: string) =>
    Buffer.from(
      `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="${type}"\n${extent}\n`.padEnd(
        1024,
      ),
    )
  testRefusals(
    bench,
    'vmdk',
    [
      { what: 'a flat extent', image: text('monolithicFlat', 'RW 8192 FLAT "/etc/passwd" 0') },
      { what: 'a device', image: text('fullDevice', 'RW 8192 FLAT "/dev/sda" 0') },
      { what: 'a VMFS extent', image: text('vmfs', 'RW 8192 VMFS "../other/disk-flat.vmdk"') },
    ].map(({ what, image }) => ({
      row: 'I6.71',
      what: `a descriptor of ${what} alone`,
      image: () => image,
      code: 'FORMAT',
      says: /no sparse extent/,
    })),
  )
})

describe('a VMDK that only its grains betray', () => {
  const spoiltGrain = (spoil: (stream: Buffer) => void): Buffer => {
    const file = makeVmdk()
    const at = 128 * 512 + 12
    spoil(file.subarray(at, at + file.readUInt32LE(at - 4)))
    return file
  }
  const rows: [what: string, image: () => Buffer, code: 'WRITE' | 'FORMAT', says: RegExp][] = [
    ['garbage', () => spoiltGrain((it) => it.fill(0xa5, 2)), 'WRITE', /is damaged/],
    ['a short stream', () => spoiltGrain((it) => it.fill(0, it.length - 8)), 'WRITE', /damaged|too/],
    [
      '64 MiB of zeros in a grain',
      () => makeVmdk({ grains: new Map([[0, Buffer.alloc(64 * MiB)]]) }),
      'WRITE',
      /too long/,
    ],
    [
      'half a grain',
      () => makeVmdk({ grains: new Map([[0, grainOf('half').subarray(0, 32_768)]]) }),
      'WRITE',
      /too short/,
    ],
    ['an end in a grain', () => makeVmdk().subarray(0, 128 * 512 + 100), 'FORMAT', /cut off/],
    ['an end before its footer', () => makeVmdk().subarray(0, -1536), 'FORMAT', /cut off/],
    ['an end before its end-of-stream', () => makeVmdk().subarray(0, -512), 'FORMAT', /cut off/],
  ]
  testRefusals(
    bench,
    'vmdk',
    rows.map(([what, image, code, says]) => ({
      row: what.startsWith('an end before') ? 'I6.74' : 'I6.77',
      what,
      image,
      // Read by its tables for the preflight, it is found cut off or no footer there.
      code: [code, 'FORMAT'],
      says: code === 'FORMAT' ? /cut off|no sparse extent|behind its end/ : says,
      disk: 'unbootable',
      diskSize: 80 * MiB,
    })),
  )
})

describe('an OVA that cannot be right', () => {
  testRefusals(
    bench,
    'ova',
    spread(ovaRefusals, 4).map(({ row, what, file, code, says, before }) => ({
      row,
      what,
      image: file,
      code,
      says: /ustar|begin with its OVF/.test(says.source)
        ? new RegExp(`${says.source}|declared as ova`)
        : says,
      disk: before ? 'untouched' : 'unbootable',
    })),
  )

  const entry = (name: string, content: string | Buffer) => ({ name, content: Buffer.from(content) })
  testRefusals(bench, 'ova', [
    {
      row: 'I6.84',
      what: 'a zip called ova',
      image: () => Buffer.from('PK\x03\x04'.padEnd(4096), 'latin1'),
      code: 'FORMAT',
      says: /declared as ova but is a file in the format zip/,
    },
    {
      row: 'I6.85',
      what: 'nothing',
      image: () => Buffer.alloc(0),
      code: ['FORMAT', 'DOWNLOAD'],
      says: /empty/,
    },
    {
      row: 'I6.85',
      what: 'nothing but zeros',
      image: () => Buffer.alloc(MiB),
      code: 'FORMAT',
      says: /declared as ova but is not/,
    },
  ])

  test('I6.81 I6.83 nothing that an OVA names is connected to', async () => {
    let requests = 0
    const server = createServer((_, response) => void (requests++, response.end()))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.vmdk`
      const xml = ovfOf(2 * MiB)
      const disk = entry('disk.vmdk', makeVmdk({ capacity: 2 * MiB, grains: new Map() }))
      const descriptors = [
        xml.replace('disk.vmdk', url),
        xml.replace('?>\n', `?>\n<!DOCTYPE x SYSTEM "${url}">\n`),
        xml.replace('?>\n', `?>\n<!DOCTYPE x [<!ENTITY % p SYSTEM "${url}"> %p;]>\n`),
      ]
      for (const text of descriptors) {
        const image = makeTar([entry('vm.ovf', text), disk])
        const says = /plain file name|document type/
        for (const way of WAYS)
          await assertRefused(
            bench,
            'ova',
            { row: '', what: '', image: () => image, code: 'FORMAT', says },
            way,
          )
      }
      assert.equal(requests, 0)
    } finally {
      server.close()
    }
  })
})
