import { digestLine, makeTar, ovfOf, type TarEntry } from '../decode/test-vmdk.ts'
import { openOva } from '../pipeline/open-vmdk.ts'
import type { Fuzzer } from './fuzzer.ts'
import { damage, mutated } from './mutate.ts'
import type { Random } from './random.ts'
import { makeMutatedVmdk, makeVmdkFile } from './vmdk-file.ts'
import { checkOpened } from './vmdk-fuzzer.ts'

const NAMES = [
  'vm.ovf',
  'disk.vmdk',
  './disk.vmdk',
  '../disk.vmdk',
  '/etc/shadow',
  'vm.mf',
  'a',
  '..',
  '',
  'd/disk.vmdk',
]
const NUMBERS = [
  '00000000000\0',
  '77777777777\0',
  '00000001000\0',
  '           \0',
  '-0000000001\0',
  '999999999999',
]
const MARKUP = [
  '<!DOCTYPE x [<!ENTITY e "e">]>',
  '<!-- x -->',
  '<![CDATA[x]]>',
  '&e;',
  '&#x110000;',
  '&#65;',
  '<a>',
  '</a>',
  '<a b="c" b="d"/>',
  '"',
  "'",
  '<?pi?>',
  '\u0000',
  '<'.repeat(9),
  '<a>'.repeat(70),
]

/** Changes the text of a descriptor or manifest. */
function edit(text: string, random: Random): Buffer {
  const at = random.below(text.length + 1)
  const words = [
    'ovf:capacity',
    'ovf:href',
    'ovf:fileRef',
    'file1',
    'disk.vmdk',
    'Envelope',
    'SHA256',
    '=',
    'Disk',
  ]
  const word = random.pick(words)
  const other = random.pick([...words, ...NAMES, '0', '-1', '9007199254740992', '${size}', 'SHA1', 'SHA512'])
  return random.pick([
    () => Buffer.from(text.replace(word, other)),
    () => Buffer.from(text.slice(0, at) + random.pick(MARKUP) + text.slice(at)),
    () => Buffer.from(text.replace(/(<ovf:Disk .*\/>)/, '$1$1')),
    () => Buffer.from(text.replace('/>', ' ovf:chunkSize="5"/>')),
    () =>
      Buffer.from(text.replace(/capacity="(\d+)"/, 'capacity="$1" ovf:capacityAllocationUnits="byte * 2^0"')),
    () =>
      Buffer.from(text.replace(/capacity="\d+"/, 'capacity="1" ovf:capacityAllocationUnits="byte * 2^40"')),
    () => damage(Buffer.from(text), random),
  ])()
}

/** A pax or GNU header about the next member. */
function extended(random: Random): TarEntry {
  const record = (text: string): string => {
    const length = text.length + 2
    return `${length + String(length + String(length).length - 1).length - 1} ${text}\n`
  }
  const records = [
    record('path=disk.vmdk'),
    record(`size=${random.pick(['512', '0', '99999999999', '-1', '1e3'])}`),
    record('linkpath=/etc/shadow'),
    record('mtime=1'),
    '5 a=\n',
    '999999 x',
    '0 ',
  ]
  const isLong = random.chance(0.3)
  const text = isLong
    ? `${random.pick(NAMES)}\0`
    : Array.from({ length: random.below(4) }, () => random.pick(records)).join('')
  const many = random.chance(0.02) ? '5 a=\n'.repeat(13_000) : text
  return {
    name: 'x',
    content: Buffer.from(many),
    change: (header) => void header.write(isLong ? 'L' : 'x', 156, 'latin1'),
  }
}

/** Changes a header, before its checksum is made or after. */
function bendHeader(entry: TarEntry, random: Random): TarEntry {
  const change = random.pick([
    (header: Buffer) => void header.write(random.pick(NAMES).padEnd(20, '\0'), 0, 'latin1'),
    (header: Buffer) => void header.write(random.pick(NUMBERS), 124, 'latin1'),
    (header: Buffer) => header.set([0x80, 0, 0, random.below(256), 0, 0, 0, 0, 0, 0, 2, 0], 124),
    (header: Buffer) =>
      void header.write(random.pick(['0', '\0', '1', '2', '5', 'x', 'L', 'g', 'S']), 156, 'latin1'),
    (header: Buffer) => void header.write('folder', 345, 'latin1'),
    (header: Buffer) => void (header[random.below(512)] = random.below(256)),
  ])
  return random.chance(0.85) ? { ...entry, change } : { ...entry, spoil: change }
}

export const ovaFuzzer: Fuzzer = {
  make(random) {
    const { file: disk, capacity } = random.chance(0.8) ? makeVmdkFile(random) : makeMutatedVmdk(random)
    const size = random.chance(0.3) ? ` ovf:size="${disk.length}"` : ''
    const xml = ovfOf(capacity, 'disk.vmdk', size)
    const ovf = random.chance(0.3) ? edit(xml, random) : Buffer.from(xml)
    const word = random.pick(['SHA256', 'SHA1', 'SHA512'])
    const lines = digestLine(word, 'vm.ovf', ovf) + digestLine(word, 'disk.vmdk', disk)
    const manifest = random.chance(0.2) ? edit(lines, random) : Buffer.from(lines)
    const [first, mf, last] = [
      { name: 'vm.ovf', content: ovf },
      { name: 'vm.mf', content: manifest },
      { name: 'disk.vmdk', content: disk },
    ] as const
    let entries: TarEntry[] = random.pick([
      [first, mf, last],
      [first, last, mf],
      [first, last],
    ])
    for (let edits = random.pick([0, 0, 1, 1, 2, 3]); edits > 0; edits--) {
      const at = random.below(entries.length)
      entries = random.pick([
        () => entries.toSpliced(at, 0, extended(random)),
        () => entries.with(at, bendHeader(entries[at] as TarEntry, random)),
        () => entries.with(at, bendHeader(entries[at] as TarEntry, random)),
        () => entries.toSpliced(at, 1),
        () => entries.toSpliced(at, 0, random.pick(entries)),
        () => entries.toSpliced(at, 0, { name: random.pick(NAMES), content: Buffer.from('more') }),
        () => [...entries].reverse(),
      ])()
      if (entries.length === 0) break
    }
    const end = Buffer.alloc(random.pick([1024, 1024, 1024, 512, 0, 10_240]))
    const file = makeTar(entries, end)
    return random.chance(0.8) ? file : mutated(file, random, [(bytes) => damage(bytes, random)], 2)
  },
  check: (file) => checkOpened(file, openOva),
}
