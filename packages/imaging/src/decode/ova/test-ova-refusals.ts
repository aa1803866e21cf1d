/** For tests: OVAs that are refused, each with the class of hostile files that it is one spelling of. */
import { gzipSync } from 'node:zlib'
import type { ImagingCode } from '../../error.ts'
import { digestLine, grainOf, makeTar, makeVmdk, ovfOf, type TarEntry } from '../test-vmdk.ts'

export interface OvaRefusal {
  row: string
  what: string
  file: () => Buffer
  code: ImagingCode
  says: RegExp
  /** What stands before the disk shows it, so that the target stays untouched in any case. */
  before: boolean
}

type Content = () => TarEntry[] | Buffer
type Row = [what: string, content: Content, says: RegExp, code?: ImagingCode]

/** Bytes of the disk in these OVAs. */
export const OVA_CAPACITY = 2 * 1024 * 1024

const disk = makeVmdk({
  capacity: OVA_CAPACITY,
  grains: new Map([
    [0, grainOf('first')],
    [3, grainOf('fourth')],
  ]),
})
const xml = ovfOf(OVA_CAPACITY)
const ovf = Buffer.from(xml)

const entry = (name: string, content: Buffer | string = '', more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  content: Buffer.from(content),
  ...more,
})
const descriptor = entry('vm.ovf', ovf)
const vmdk = entry('disk.vmdk', disk)
const manifest = (text: string, name = 'vm.mf') => entry(name, text)
const trueLines = digestLine('SHA256', 'vm.ovf', ovf) + digestLine('SHA256', 'disk.vmdk', disk)

/** The descriptor may be the buffer itself, to be no UTF-8. */
const withOvf = (text: string | Buffer) => () => [entry('vm.ovf', text), vmdk]
const edited = (from: string | RegExp, to: string) => withOvf(xml.replace(from, to))
/** With the disk's header changed. */
const header = (change: (header: Buffer) => void) => () => [descriptor, { ...vmdk, change }]
const spoilt = (spoil: (header: Buffer) => void) => () => [descriptor, { ...vmdk, spoil }]
const typed = (type: string, name: string, content = '') =>
  entry(name, content, { change: (it) => void it.write(type, 156, 'latin1') })
/** Behind the descriptor, before the disk. */
const between =
  (...members: TarEntry[]) =>
  () => [descriptor, ...members, vmdk]
const pax = (record: string) => between(typed('x', 'pax', record))
const record = (text: string): string => {
  const length = text.length + 2
  return `${length + String(length).length} ${text}\n`
}
const number = (hex: string) => header((it) => void Buffer.from(hex.padEnd(24, '0'), 'hex').copy(it, 124))

const attribute = (name: string, value: string) => xml.replace('ovf:href', `ovf:${name}="${value}" ovf:href`)
const doctype = (text: string) => withOvf(`<?xml version="1.0"?>\n${text}\n${xml.replace(/^<\?xml.*\n/, '')}`)
const PLAIN = /not a plain file name|in a folder/
const ONLY_FILES = /only files may be in it/
const DOCTYPE = /document type, which is not allowed/

const BEFORE: Record<string, Row[]> = {
  'I6.79': [
    ...[
      '../disk.vmdk',
      '/disk.vmdk',
      'a/disk.vmdk',
      './../x',
      './/etc/x',
      '..',
      '.',
      './',
      '',
      '..\\x',
      'a\\b',
    ].map((name): Row => [`a member called ${JSON.stringify(name)}`, between(entry(name)), PLAIN]),
    ...['1', '2', '3', '4', '5', '6', '7', 'D', 'K', 'M', 'S', 'V', 'g', 'X', ' '].map(
      (type): Row => [`a member of type ${JSON.stringify(type)}`, between(typed(type, 'x')), ONLY_FILES],
    ),
    ['a symbolic link, then a file of its name', between(typed('2', 'disk.vmdk')), ONLY_FILES],
    ['a prefix in a name', header((it) => void it.write('../folder', 345)), /in a folder/],
    ...['../../etc/passwd', '/etc/passwd', 'a/b', '..'].flatMap((path): Row[] => [
      [`the pax path ${path}`, pax(record(`path=${path}`)), PLAIN],
      [`the long name ${path}`, between(typed('L', '././@LongLink', `${path}\0`)), PLAIN],
    ]),
    ['a pax link', pax(record('linkpath=/etc/passwd')), /link/],
    ['a sparse file of GNU tar', pax(record('GNU.sparse.map=0,512')), /sparse/],
    ...['999 path=x\n', '0 path=x\n', '3 \n', '-5 path=x\n', 'path=x\n', '12 path=x'].map(
      (text): Row => [`the pax record ${JSON.stringify(text)}`, pax(text), /damaged pax/],
    ),
    ['an extended header of 1 MiB', pax('x'.repeat(1 << 20)), /extended header of/],
  ],
  'I6.80': [
    ['no descriptor', () => [vmdk], /begin with its OVF/],
    ['nothing in it', () => makeTar([]), /begin with its OVF/],
    ['its descriptor last', () => [vmdk, descriptor], /begin with its OVF/],
    ['its manifest first', () => [manifest(trueLines), descriptor, vmdk], /begin with its OVF/],
    ['two descriptors', between(entry('b.ovf', ovf)), /two descriptors/],
    ['an empty descriptor', withOvf(''), /not one whole element/],
    ...[
      'hello',
      '{}',
      '<',
      '<a',
      '<a>',
      '<a/><b/>',
      '<a b=c/>',
      '<a b="1" b="2"/>',
      '<!-- ',
      '<a>]]></b>',
    ].map((text): Row => [`the descriptor ${text}`, withOvf(text), /OVF descriptor|OVA's descriptor/]),
    ['another document', withOvf('<html><body/></html>'), /no OVF envelope/],
    ['a descriptor in UTF-16', withOvf(Buffer.from(xml, 'utf16le')), /UTF-8/],
    ['a descriptor in UTF-16 with its mark', withOvf(Buffer.from(`\ufeff${xml}`, 'utf16le')), /UTF-8/],
    ['a descriptor in UTF-16 of the other order', withOvf(Buffer.from(xml, 'utf16le').swap16()), /UTF-8/],
    ['a descriptor in Latin-1', withOvf(Buffer.from(xml.replace('only', 'f\u00fcr'), 'latin1')), /UTF-8/],
    ['50,000 elements in each other', withOvf('<a>'.repeat(50_000)), /too deep/],
    ['50,000 elements beside each other', withOvf(`<a>${'<b/>'.repeat(50_000)}</a>`), /too many/],
    ['a descriptor of 2 MiB', withOvf(`${xml}${' '.repeat(2 << 20)}`), /more than 1 MiB/],
    ['a descriptor of a blank MiB in a tag', withOvf(`<a${' '.repeat(1_000_000)}`), /damaged tag/],
    [
      '5000 members',
      between(...Array.from({ length: 5000 }, (_, i) => entry(`${i}`))),
      /more than \d+ members/,
    ],
  ],
  'I6.81': [
    [
      'an external entity of a file',
      doctype('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
      DOCTYPE,
    ],
    [
      'an external entity by HTTP',
      doctype('<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:1/">]>'),
      DOCTYPE,
    ],
    ['an external document type', doctype('<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">'), DOCTYPE],
    ['a parameter entity', doctype('<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/"> %p;]>'), DOCTYPE],
    [
      'a billion laughs',
      doctype(
        `<!DOCTYPE x [<!ENTITY a "lol">${'bcdefghij'
          .split('')
          .map((name, i) => `<!ENTITY ${name} "${`&${'abcdefghi'[i]};`.repeat(10)}">`)
          .join('')}]>`,
      ),
      DOCTYPE,
    ],
    ['quadratic growth', doctype(`<!DOCTYPE x [<!ENTITY a "${'B'.repeat(100_000)}">]>`), DOCTYPE],
    ['entities in a circle', doctype('<!DOCTYPE x [<!ENTITY a "&b;"><!ENTITY b "&a;">]>'), DOCTYPE],
    ['a document type in small letters', doctype('<!doctype x>'), DOCTYPE],
    ['a document type behind its element', withOvf(`${xml}<!DOCTYPE x>`), DOCTYPE],
    ['an entity of its own', edited('vmdisk1', '&evil;'), /entity of its own/],
    ['200,000 numeric references', edited('vmdisk1', '&#65;'.repeat(200_000)), /more than 64 KiB/],
    ...['&#0;', '&#x110000;', '&#9999999;', '&', '&#;', '&#x;', '&amp'].map(
      (text): Row => [
        `the reference ${text}`,
        edited('vmdisk1', text),
        /impossible character|reference that is none/,
      ],
    ),
    ['a tag that closes another', edited('</ovf:References>', '</ovf:Section>'), /closes another/],
  ],
  'I6.82': [
    [
      'a manifest for another descriptor',
      between(manifest(digestLine('SHA256', 'vm.ovf', disk) + digestLine('SHA256', 'disk.vmdk', disk))),
      /descriptor is not the one/,
    ],
    [
      'a manifest without its disk',
      between(manifest(digestLine('SHA1', 'vm.ovf', ovf))),
      /does not name its disk/,
    ],
    [
      'a manifest without its descriptor',
      between(manifest(digestLine('SHA1', 'disk.vmdk', disk))),
      /descriptor/,
    ],
    ['an empty manifest', between(manifest('')), /does not name its disk/],
    ['a manifest in MD5', between(manifest(digestLine('MD5', 'disk.vmdk', disk))), /no SHA1/],
    ...[
      'garbage',
      'SHA256(disk.vmdk)= xyz',
      'SHA256(disk.vmdk)= 00',
      `SHA999(disk.vmdk)= ${'0'.repeat(64)}`,
      `__proto__(disk.vmdk)= ${'0'.repeat(64)}`,
      `${'0'.repeat(64)}  disk.vmdk`,
    ].map(
      (line): Row => [`the manifest line ${line}`, between(manifest(`${trueLines}${line}\n`)), /no SHA1/],
    ),
    ['a digest twice', between(manifest(trueLines + digestLine('SHA256', 'vm.ovf', ovf))), /no SHA1/],
    ['two manifests', between(manifest(trueLines), manifest(trueLines, 'b.mf')), /two manifests/],
    ['a manifest of 1 MiB', between(manifest('\n'.repeat(1 << 20))), /manifest has 1048576 bytes/],
  ],
  'I6.83': [
    ['two disks', edited('</ovf:DiskSection>', '<ovf:Disk ovf:capacity="1"/></ovf:DiskSection>'), /2 disks/],
    ['no disk', edited(/<ovf:Disk .*\/>/, ''), /0 disks/],
    ['a disk without its file', edited('fileRef="file1"', 'fileRef="file2"'), /does not name one file/],
    ['a disk of no file', edited('ovf:fileRef="file1"', ''), /does not name one file/],
    [
      'two files of one name',
      edited('<ovf:File', '<ovf:File ovf:id="file1"/><ovf:File'),
      /does not name one file/,
    ],
    ['a parent disk', edited('fileRef', 'parentRef="x" ovf:fileRef'), /parent/],
    ['a disk without a place', edited('ovf:href="disk.vmdk"', ''), /plain file name/],
    ...[
      'http://127.0.0.1:1/x',
      'https://127.0.0.1:1/x',
      'file:///etc/passwd',
      'file:disk.vmdk',
      '../disk.vmdk',
      '/etc/passwd',
      './disk.vmdk',
      'a\\b',
      'disk%2evmdk',
      'disk.vmdk?x',
      'disk.vmdk#x',
      '..',
      '',
    ].map((href): Row => [`a disk at "${href}"`, edited('disk.vmdk', href), /plain file name/]),
    ['a disk that is missing', () => [descriptor], /does not hold the disk/],
    ['a disk of another case', edited('disk.vmdk', 'DISK.VMDK'), /does not hold the disk/],
    ...['0', '5', '-5', '1e9', '0x10', '9007199254740993', '99999999999999999999'].map(
      (size): Row => [
        `a size of "${size}"`,
        withOvf(attribute('size', size)),
        /descriptor says|impossible size/,
      ],
    ),
    ...['0', '-5', '2^99999999', '1e9', ' 5', '0x10', '99999999999999999', '${capacity}', ''].map(
      (size): Row => [
        `a capacity of "${size}"`,
        edited(`capacity="${OVA_CAPACITY}"`, `capacity="${size}"`),
        /impossible capacity/,
      ],
    ),
    ...['byte * 2^99', 'byte * 2^99999999', 'byte * 3^5', 'byte * -1', 'parsecs', 'byte * 2^-1'].map(
      (units): Row => [
        `units of "${units}"`,
        edited('ovf:capacity=', `ovf:capacityAllocationUnits="${units}" ovf:capacity=`),
        /impossible capacity/,
      ],
    ),
    ["a capacity that is not the disk's", withOvf(ovfOf(OVA_CAPACITY + 512)), /while its descriptor says/],
    ['an id called __proto__', edited('fileRef="file1"', 'fileRef="__proto__"'), /does not name one file/],
  ],
  'I6.84': [
    [
      'a disk in gzip',
      () => [entry('vm.ovf', attribute('compression', 'gzip')), entry('disk.vmdk', gzipSync(disk))],
      /compressed with gzip/,
    ],
    [
      'a disk in gzip that its descriptor does not tell of',
      () => [descriptor, entry('disk.vmdk', gzipSync(disk))],
      /no sparse extent/,
    ],
    ...['bzip2', 'GZIP', 'identity gzip'].map(
      (how): Row => [`a disk in "${how}"`, withOvf(attribute('compression', how)), /compressed in a way/],
    ),
    ['a disk in chunks', withOvf(attribute('chunkSize', '7340032')), /chunks/],
    ['a disk in chunks of no size', withOvf(attribute('chunkSize', '')), /chunks/],
  ],
  'I6.85': [
    ['two members of one name', between(entry('x'), entry('x')), /one name/],
    ['two members, one with ./', between(entry('x'), entry('./x')), /one name/],
    ...['9999999999z', '0x7fffffff', '-0000000001', '8', '', '\0\0\0\0\0\0\0\0\0\0\0\0', '0 0'].map(
      (text): Row => [
        `a size of ${JSON.stringify(text)}`,
        header((it) => void it.fill(0, 124, 136).write(text, 124, 'latin1')),
        /damaged number/,
      ],
    ),
    ['a size of 2^63 - 1', number('800000007fffffffffffffff'), /impossible size/],
    ['a size of 2^88 - 1', number(`80${'ff'.repeat(11)}`), /impossible size/],
    ['a size of 2^53 - 1', number('80000000001fffffffffffff'), /impossible size|ends before/],
    ['a negative size', number('ff'.repeat(12)), /damaged number/],
    ['a size of 8 GiB in octal', header((it) => void it.write('77777777777', 124)), /ends before/],
    ['a pax size of 2^63', pax(record('size=9223372036854775808')), /impossible size/],
    ['a negative pax size', pax(record('size=-1')), /impossible size/],
    ['a wrong header checksum', spoilt((it) => void it.write('zz', 0)), /wrong checksum/],
    ['a checksum that is no number', spoilt((it) => void it.write('zzzzzz', 148)), /damaged number/],
    ['a header of the old tar', header((it) => void it.fill(0, 257, 263)), /ustar/],
    ...[512, 600, 1024, 1536, 2048].map(
      (end): Row => [
        `an end at ${end}`,
        () => makeTar([descriptor, vmdk]).subarray(0, end),
        /cut off|ends before/,
      ],
    ),
  ],
  'I6.86': [
    ['a qcow2 inside', () => [descriptor, entry('disk.vmdk', 'QFI\xfb'.padEnd(512))], /no sparse extent/],
    [
      'a flat VMDK inside',
      () => [descriptor, entry('disk.vmdk', '# Disk DescriptorFile\n'.padEnd(512))],
      /no sparse extent/,
    ],
    ['a COWD extent inside', () => [descriptor, entry('disk.vmdk', 'COWD'.padEnd(512))], /no sparse extent/],
    ['a raw disk inside', () => [descriptor, entry('disk.vmdk', Buffer.alloc(4096))], /no sparse extent/],
    [
      'an OVA inside',
      () => [descriptor, entry('disk.vmdk', makeTar([descriptor, vmdk]))],
      /no sparse extent/,
    ],
    ['an empty disk', () => [descriptor, entry('disk.vmdk')], /cut off/],
    ['a disk of four bytes', () => [descriptor, entry('disk.vmdk', 'KDMV')], /cut off/],
  ],
}

const BEHIND: Record<string, Row[]> = {
  'I6.80': [
    [
      'two descriptors, one behind the disk',
      () => [descriptor, vmdk, entry('b.ovf', ovf)],
      /two descriptors/,
    ],
  ],
  'I6.82': [
    [
      'a manifest for another disk',
      between(manifest(digestLine('SHA256', 'vm.ovf', ovf) + digestLine('SHA256', 'disk.vmdk', ovf))),
      /manifest says/,
      'SUM',
    ],
    [
      'a manifest behind it for another disk',
      () => [
        descriptor,
        vmdk,
        manifest(digestLine('SHA1', 'vm.ovf', ovf) + digestLine('SHA1', 'disk.vmdk', ovf)),
      ],
      /manifest says/,
      'SUM',
    ],
    ['a manifest of garbage behind it', () => [descriptor, vmdk, manifest('garbage\n')], /no SHA1/],
    [
      'a manifest behind it in SHA512',
      () => [
        descriptor,
        vmdk,
        manifest(digestLine('SHA512', 'vm.ovf', ovf) + digestLine('SHA512', 'disk.vmdk', disk)),
      ],
      /another kind/,
    ],
  ],
  'I6.85': [
    ['a second disk of the same name', () => [descriptor, vmdk, vmdk], /one name/],
    [
      'bytes after its end',
      () => Buffer.concat([makeTar([descriptor, vmdk]), Buffer.from('more')]),
      /goes on after/,
    ],
    ['no end', () => makeTar([descriptor, vmdk], Buffer.alloc(0)), /end never came/],
    ...['1', '2', '5'].map(
      (type): Row => [
        `a member of type ${type} behind its disk`,
        () => [descriptor, vmdk, typed(type, 'x')],
        ONLY_FILES,
      ],
    ),
  ],
}

const listed = (rows: Record<string, Row[]>, before: boolean): OvaRefusal[] =>
  Object.entries(rows).flatMap(([row, of]) =>
    of.map(([what, content, says, code = 'FORMAT']) => {
      const file = () => {
        const made = content()
        return Buffer.isBuffer(made) ? made : makeTar(made)
      }
      return { row, what, file, says, code, before }
    }),
  )

export const ovaRefusals: readonly OvaRefusal[] = [...listed(BEFORE, true), ...listed(BEHIND, false)]
