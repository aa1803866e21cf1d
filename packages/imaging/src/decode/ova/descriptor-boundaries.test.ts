import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../../error.ts'
import { readManifest } from './manifest.ts'
import { readOvf } from './ovf.ts'
import { parseXml, type XmlElement } from './xml.ts'

const says = (cause: RegExp) => (error: unknown) =>
  error instanceof ImagingError && error.code === 'FORMAT' && cause.test(error.cause)
const parse = (text: string) => parseXml(Buffer.from(text))

/** An element as text that shows all that was read of it. */
const shown = ({ name, attributes, children }: XmlElement): string =>
  `${name}(${[...attributes].map(([key, value]) => `${key}=${value}`).join(',')})[${children.map(shown).join('')}]`

describe('XML', () => {
  const accepted: [text: string, expected: string][] = [
    ['<a/>', 'a()[]'],
    ['<a></a>', 'a()[]'],
    ['<a ></a >', 'a()[]'],
    ['<a\n/>', 'a()[]'],
    [' <a/> text', 'a()[]'],
    ['<?xml version="1.0"?><a/>', 'a()[]'],
    ['<!-- <b> --><a><!----></a><!-- -->', 'a()[]'],
    ['<a><![CDATA[</a><b>]]></a>', 'a()[]'],
    ['<a><?pi <b>?></a>', 'a()[]'],
    ['<a><b/><c><d/></c><b/></a>', 'a()[b()[]c()[d()[]]b()[]]'],
    ['<x:a><y:b/></x:a>', 'a()[b()[]]'],
    ['<a p="1" q=\'2\'/>', 'a(p=1,q=2)[]'],
    ['<a p = "1"\n\tq= "2" />', 'a(p=1,q=2)[]'],
    ['<a p=""/>', 'a(p=)[]'],
    ['<a p="\'>/" q=\'">\'/>', 'a(p=\'>/,q=">)[]'],
    ['<a x:p="1"/>', 'a(p=1)[]'],
    ['<a ovf:p="1" p="2"/>', 'a(p=1)[]'],
    ['<a p="2" ovf:p="1"/>', 'a(p=1)[]'],
    ['<a p="1" vendor:p="2"/>', 'a(p=1)[]'],
    ['<_a.b-c1 _d.e-f="1"/>', '_a.b-c1(_d.e-f=1)[]'],
    [`<${'n'.repeat(128)}/>`, `${'n'.repeat(128)}()[]`],
    ['<a p="&lt;&gt;&amp;&quot;&apos;"/>', 'a(p=<>&"\')[]'],
    ['<a p="&#65;&#x42;&#x10FFFF;&#0000067;"/>', 'a(p=AB\u{10ffff}C)[]'],
    ['<a p="&amp;lt;"/>', 'a(p=&lt;)[]'],
    ['<a>&unknown; text</a>', 'a()[]'],
    ['\ufeff<a/>', 'a()[]'],
  ]
  for (const [text, expected] of accepted)
    test(`${text.slice(0, 60)} is read`, () => assert.equal(shown(parse(text)), expected))

  const refused: [text: string, cause: RegExp][] = [
    ['', /not one whole element/],
    ['a', /not one whole element/],
    ['<a/><b/>', /not one whole element/],
    ['<a>', /not one whole element/],
    ['<a><b></b>', /not one whole element/],
    ['</a>', /closes another one/],
    ['<a></a></a>', /closes another one/],
    ['<a></b>', /closes another one/],
    ['<a><b></a></b>', /closes another one/],
    ['<a></a', /cut off/],
    ['<a><!-- --></a', /cut off/],
    ['<!--->', /cut off/],
    ['<a/><!-- -', /cut off/],
    ['<?>', /cut off/],
    ['<?xml', /cut off/],
    ['<a><![CDATA[ ]]</a>', /cut off/],
    ['<!DOCTYPE a><a/>', /document type/],
    ['<a><!ENTITY b "c"></a>', /document type/],
    ['<1/>', /damaged tag/],
    ['< a/>', /damaged tag/],
    [`<${'n'.repeat(129)}/>`, /damaged tag/],
    ['<a', /damaged tag/],
    ['<a/', /damaged tag/],
    ['<a / >', /damaged tag/],
    ['<a p/>', /damaged tag/],
    ['<a p=1/>', /damaged tag/],
    ['<a p="1/>', /damaged tag/],
    ['<a p="<"/>', /damaged tag/],
    ["<a p='<'/>", /damaged tag/],
    ['<a p="1"q="2"/>', /damaged tag/],
    ['<a 1p="1"/>', /damaged tag/],
    ['<a p="1" p="2"/>', /attribute twice/],
    ['<a p="&"/>', /reference that is none/],
    ['<a p="&lt"/>', /reference that is none/],
    ['<a p="& lt;"/>', /reference that is none/],
    ['<a p="&#xG;"/>', /reference that is none/],
    ['<a p="&#12345678;"/>', /reference that is none/],
    ['<a p="&#x1234567;"/>', /reference that is none/],
    ['<a p="&euro;"/>', /entity of its own/],
    ['<a p="&#0;"/>', /impossible character/],
    ['<a p="&#x0;"/>', /impossible character/],
    ['<a p="&#x110000;"/>', /impossible character/],
    ['<a p="&#1114112;"/>', /impossible character/],
  ]
  for (const [text, cause] of refused)
    test(`${text.slice(0, 60)} is refused`, () => assert.throws(() => parse(text), says(cause)))

  test('is nested 63 deep at most', () => {
    assert.ok(parse('<a>'.repeat(63) + '</a>'.repeat(63)))
    assert.ok(parse(`${'<a>'.repeat(63)}<a/>${'</a>'.repeat(63)}`))
    assert.throws(() => parse('<a>'.repeat(64) + '</a>'.repeat(64)), says(/nested too deep/))
  })

  test('has 20000 elements at most', () => {
    assert.equal(parse(`<a>${'<b/>'.repeat(19_999)}</a>`).children.length, 19_999)
    assert.throws(() => parse(`<a>${'<b/>'.repeat(20_000)}</a>`), says(/too many elements/))
  })

  test('has attributes of 64 KiB at most', () => {
    assert.equal(parse(`<a p="${'v'.repeat(65_536)}"/>`).attributes.get('p')?.length, 65_536)
    assert.throws(() => parse(`<a p="${'v'.repeat(65_537)}"/>`), says(/more than 64 KiB/))
  })

  for (const [what, bytes] of [
    ['UTF-16, big end first', [0xfe, 0xff, 0, 0x3c]],
    ['UTF-16, little end first', [0xff, 0xfe, 0x3c, 0]],
    ['UTF-16 without a mark, big end first', [0, 0x3c, 0, 0x61]],
    ['UTF-16 without a mark, little end first', [0x3c, 0, 0x61, 0]],
    ['Latin-1', [0x3c, 0x61, 0x20, 0xe9, 0x2f, 0x3e]],
  ] as const)
    test(`in ${what} is refused`, () =>
      assert.throws(() => parseXml(Uint8Array.from(bytes)), says(/not in UTF-8/)))
})

describe('an OVF descriptor', () => {
  interface Parts {
    envelope: string
    file: string
    disk: string
    more: string
  }
  const ovf = (parts: Partial<Parts>) => {
    const { envelope, file, disk, more } = {
      envelope: 'Envelope',
      file: 'href="d.vmdk"',
      disk: 'fileRef="f" capacity="7"',
      more: '',
      ...parts,
    }
    return readOvf(
      Buffer.from(
        `<${envelope}><References><File id="f" ${file}/><File id="g" href="other"/></References>` +
          `<DiskSection><Disk ${disk}/></DiskSection>${more}</${envelope}>`,
      ),
    )
  }
  const plain = { href: 'd.vmdk', size: null, capacity: 7, compression: 'none' }

  const accepted: [what: string, parts: Partial<Parts>, expected: object][] = [
    ['one disk', {}, plain],
    ['a size', { file: 'href="d.vmdk" size="12"' }, { ...plain, size: 12 }],
    [
      'a size of 16 digits',
      { file: 'href="d.vmdk" size="1234567890123456"' },
      { ...plain, size: 1234567890123456 },
    ],
    ['no compression', { file: 'href="d.vmdk" compression="identity"' }, plain],
    ['gzip', { file: 'href="d.vmdk" compression="gzip"' }, { ...plain, compression: 'gzip' }],
    ['a name of 255 characters', { file: `href="${'n'.repeat(255)}"` }, { ...plain, href: 'n'.repeat(255) }],
    [
      'units of 2^20',
      { disk: 'fileRef="f" capacity="3" capacityAllocationUnits="byte * 2^20"' },
      { ...plain, capacity: 3 << 20 },
    ],
    [
      'units of 10^9',
      { disk: 'fileRef="f" capacity="3" capacityAllocationUnits="byte*10^9"' },
      { ...plain, capacity: 3e9 },
    ],
    [
      'units with blanks',
      { disk: 'fileRef="f" capacity="3" capacityAllocationUnits=" byte * 2 ^ 3 "' },
      { ...plain, capacity: 24 },
    ],
    [
      'units of bytes',
      { disk: 'fileRef="f" capacity="3" capacityAllocationUnits="byte"' },
      { ...plain, capacity: 3 },
    ],
    [
      'the largest exact capacity',
      { disk: 'fileRef="f" capacity="9007199254740991"' },
      { ...plain, capacity: 2 ** 53 - 1 },
    ],
  ]
  for (const [what, parts, expected] of accepted)
    test(`with ${what} is read`, () => assert.deepEqual(ovf(parts), expected))

  const units = (text: string) => ({ disk: `fileRef="f" capacity="3" capacityAllocationUnits="${text}"` })
  const refused: [what: string, parts: Partial<Parts>, cause: RegExp][] = [
    ['another root', { envelope: 'Envelop' }, /no OVF envelope/],
    ['a second disk', { more: '<Disk fileRef="f" capacity="7"/>' }, /describes 2 disks/],
    ['a disk without a file', { disk: 'capacity="7"' }, /does not name one file/],
    ['a file that is not there', { disk: 'fileRef="x" capacity="7"' }, /does not name one file/],
    ['two files of one name', { more: '<File id="f" href="b"/>' }, /does not name one file/],
    ['a parent', { disk: 'fileRef="f" capacity="7" parentRef="p"' }, /needs a parent/],
    ['chunks', { file: 'href="d.vmdk" chunkSize="5"' }, /split into chunks/],
    ['no name', { file: '' }, /plain file name/],
    ['an empty name', { file: 'href=""' }, /plain file name/],
    ['a name of 256 characters', { file: `href="${'n'.repeat(256)}"` }, /plain file name/],
    ['a hidden name', { file: 'href=".d"' }, /plain file name/],
    ['a path', { file: 'href="a/d"' }, /plain file name/],
    ['a path behind its name', { file: 'href="d/"' }, /plain file name/],
    ['a URL', { file: 'href="http:d"' }, /plain file name/],
    ['a percent sign', { file: 'href="a%2fd"' }, /plain file name/],
    ['a compression that is not known', { file: 'href="d" compression="xz"' }, /compressed in a way/],
    ['an empty size', { file: 'href="d" size=""' }, /impossible size/],
    ['a size of 17 digits', { file: 'href="d" size="12345678901234567"' }, /impossible size/],
    ['a size with a sign', { file: 'href="d" size="+5"' }, /impossible size/],
    ['a size with a unit', { file: 'href="d" size="5k"' }, /impossible size/],
    ['no capacity', { disk: 'fileRef="f"' }, /impossible capacity/],
    ['a capacity of 0', { disk: 'fileRef="f" capacity="0"' }, /impossible capacity/],
    ['a capacity of 2^53', { disk: 'fileRef="f" capacity="9007199254740992"' }, /impossible capacity/],
    ['a property for its capacity', { disk: 'fileRef="f" capacity="${size}"' }, /impossible capacity/],
    ['a capacity of 17 digits', { disk: 'fileRef="f" capacity="00000000000000007"' }, /impossible capacity/],
    ['a capacity with a unit', { disk: 'fileRef="f" capacity="7k"' }, /impossible capacity/],
    ['a capacity with a sign', { disk: 'fileRef="f" capacity="+7"' }, /impossible capacity/],
    ['units of 3^2', units('byte * 3^2'), /impossible capacity/],
    ['units of 2^100', units('byte * 2^100'), /impossible capacity/],
    ['units of bits', units('bit * 2^3'), /impossible capacity/],
    ['more in its units', units('byte * 2^3 * 2'), /impossible capacity/],
    ['something before its units', units('x byte'), /impossible capacity/],
    ['an empty unit', units(''), /impossible capacity/],
  ]
  for (const [what, parts, cause] of refused)
    test(`with ${what} is refused`, () => assert.throws(() => ovf(parts), says(cause)))

  test('without a disk is refused', () =>
    assert.throws(() => readOvf(Buffer.from('<Envelope/>')), says(/describes 0 disks/)))
})

describe('a manifest', () => {
  const sha1 = 'aB'.repeat(20)
  const read = (text: string) => [...readManifest(Buffer.from(text))]

  const accepted: [what: string, text: string, expected: unknown[]][] = [
    ['nothing', '', []],
    ['blank lines', '\n \r\n\n', []],
    ['SHA1', `SHA1(a)= ${sha1}\n`, [['a', { algorithm: 'sha1', digest: 'ab'.repeat(20) }]]],
    ['SHA256', `SHA256(a)= ${'0'.repeat(64)}`, [['a', { algorithm: 'sha256', digest: '0'.repeat(64) }]]],
    ['SHA512', `SHA512(a)= ${'f'.repeat(128)}`, [['a', { algorithm: 'sha512', digest: 'f'.repeat(128) }]]],
    ['no blanks', `SHA1(a)=${sha1}`, [['a', { algorithm: 'sha1', digest: 'ab'.repeat(20) }]]],
    ['many blanks', `  SHA1  (a)  =  ${sha1}  `, [['a', { algorithm: 'sha1', digest: 'ab'.repeat(20) }]]],
    [
      'a name of 255 characters',
      `SHA1(${'n'.repeat(255)})= ${sha1}`,
      [['n'.repeat(255), { algorithm: 'sha1', digest: 'ab'.repeat(20) }]],
    ],
    [
      'two files and DOS lines',
      `SHA1(a)= ${sha1}\r\nSHA1(b c)= ${sha1}\r\n`,
      ['a', 'b c'].map((name) => [name, { algorithm: 'sha1', digest: 'ab'.repeat(20) }]),
    ],
  ]
  for (const [what, text, expected] of accepted)
    test(`with ${what} is read`, () => assert.deepEqual(read(text), expected))

  for (const [what, text] of [
    ['a line that is none', 'hello'],
    ['MD5', `MD5(a)= ${'0'.repeat(32)}`],
    ['a name of JavaScript for its algorithm', `CONSTRUC(a)= ${sha1}`],
    ['a digit too few', `SHA1(a)= ${sha1.slice(1)}`],
    ['a digit too many', `SHA1(a)= ${sha1}0`],
    ['a digit that is none', `SHA1(a)= ${sha1.slice(1)}g`],
    ['no name', `SHA1()= ${sha1}`],
    ['a name of 256 characters', `SHA1(${'n'.repeat(256)})= ${sha1}`],
    ['something before a line', `x SHA1(a)= ${sha1}`],
    ['something behind a line', `SHA1(a)= ${sha1} x`],
    ['a file twice', `SHA1(a)= ${sha1}\nSHA1(a)= ${sha1}`],
    ['lower case', `sha1(a)= ${sha1}`],
  ] as const)
    test(`with ${what} is refused`, () => assert.throws(() => read(text), says(/line that is no SHA1/)))
})
