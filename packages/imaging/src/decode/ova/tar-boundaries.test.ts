import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../../error.ts'
import { makeTar } from '../test-vmdk.ts'
import { readLongName, readPax, readTarHeader } from './tar-header.ts'

const says = (cause: RegExp) => (error: unknown) =>
  error instanceof ImagingError && error.code === 'FORMAT' && cause.test(error.cause)

/** A header block; `change` happens before its checksum is made, `spoil` after it. */
function header(
  change: (header: Buffer) => void = () => {},
  spoil: (header: Buffer) => void = () => {},
): Buffer {
  return makeTar([{ name: 'disk.vmdk', content: Buffer.alloc(5), change, spoil }]).subarray(0, 512)
}

const put = (text: string, at: number) => (block: Buffer) => void block.write(text, at, 'latin1')
const add = (difference: number, at: number) => (block: Buffer) =>
  void block.writeUInt8((block.readUInt8(at) + difference) & 0xff, at)
const name = (text: string) => (block: Buffer) => void block.fill(0, 0, 100).write(text, 0, 'latin1')

/** Writes the size as GNU tar does where octal digits do not suffice. */
function base256(block: Buffer, size: bigint): void {
  block.fill(0, 124, 136)
  block[124] = 0x80
  block.writeBigUInt64BE(size, 128)
}

describe('a tar header', () => {
  test('of zeros ends the archive, and one other byte does not', () => {
    assert.equal(readTarHeader(Buffer.alloc(512)), null)
    const almost = Buffer.alloc(512)
    almost[511] = 1
    assert.throws(() => readTarHeader(almost), says(/no tar archive/))
  })

  const accepted: [what: string, block: Buffer, expected: unknown][] = [
    ['a plain file', header(), { name: 'disk.vmdk', size: 5, kind: 'file' }],
    ['a file of the old type', header(put('\0', 156)), { name: 'disk.vmdk', size: 5, kind: 'file' }],
    ['a name behind ./', header(name('./a.ovf')), { name: 'a.ovf', size: 5, kind: 'file' }],
    ['a name of 100 bytes', header(name('n'.repeat(100))), { name: 'n'.repeat(100), size: 5, kind: 'file' }],
    ['a name that begins with dots', header(name('...a')), { name: '...a', size: 5, kind: 'file' }],
    ['a size of 12 digits', header(put('000000000017', 124)), { name: 'disk.vmdk', size: 15, kind: 'file' }],
    ['a size behind blanks', header(put('         17 ', 124)), { name: 'disk.vmdk', size: 15, kind: 'file' }],
    [
      'all octal digits',
      header(put('00076543210\0', 124)),
      { name: 'disk.vmdk', size: 0o76543210, kind: 'file' },
    ],
    [
      'a size in base 256',
      header((block) => base256(block, 0x1020304n)),
      { name: 'disk.vmdk', size: 0x1020304, kind: 'file' },
    ],
    [
      'the largest exact size in base 256',
      header((block) => base256(block, 2n ** 53n - 1n)),
      { name: 'disk.vmdk', size: 2 ** 53 - 1, kind: 'file' },
    ],
    [
      'an extended header of 64 KiB',
      header((block) => (put('x', 156)(block), put('00000200000\0', 124)(block))),
      { name: '', size: 65536, kind: 'pax' },
    ],
    ['a long name', header(put('L', 156)), { name: '', size: 5, kind: 'longname' }],
  ]
  for (const [what, block, expected] of accepted)
    test(`with ${what} is read`, () => assert.deepEqual(readTarHeader(block), expected))

  const refused: [what: string, block: Buffer, cause: RegExp][] = [
    ['another magic', header(put('ustaR', 257)), /no tar archive/],
    ['a checksum that is 1 too low', header(undefined, add(-1, 0)), /wrong checksum/],
    ['a byte before the checksum changed', header(undefined, add(1, 147)), /wrong checksum/],
    ['a byte behind the checksum changed', header(undefined, add(1, 156)), /wrong checksum/],
    ['a changed last byte', header(undefined, add(1, 511)), /wrong checksum/],
    ['a checksum that is no number', header(undefined, put('zzzzzz', 148)), /damaged number/],
    ['no size', header(put('            ', 124)), /damaged number/],
    ['a digit 8', header(put('00000000008\0', 124)), /damaged number/],
    ['a blank inside its size', header(put('0000 000017\0', 124)), /damaged number/],
    ['a size of 255 in its first byte', header((block) => void block.fill(0xff, 124, 136)), /damaged number/],
    ['a size of 2^53', header((block) => base256(block, 2n ** 53n)), /impossible size/],
    [
      'a size of 2^88',
      header((block) => void block.fill(0, 124, 136).fill(0x80, 124, 125).fill(1, 125, 126)),
      /impossible size/,
    ],
    [
      'an extended header of more than 64 KiB',
      header((block) => (put('x', 156)(block), put('00000200001\0', 124)(block))),
      /extended header of 65537 bytes/,
    ],
    ['a link', header(put('2', 156)), /member of type 2; only files/],
    ['a global extended header', header(put('g', 156)), /member of type g; only files/],
    ['a type that is not shown', header(put('\x1b', 156)), /member of type unknown; only files/],
    ['a prefix', header(put('folder', 345)), /in a folder/],
    ['no name', header(name('')), /plain file name/],
    ['a path', header(name('a/b')), /plain file name/],
    ['an absolute path', header(name('/b')), /plain file name/],
    ['a path behind ./', header(name('././b')), /plain file name/],
    ['a backslash', header(name('a\\b')), /plain file name/],
    ['the name .', header(name('.')), /plain file name/],
    ['the name ..', header(name('..')), /plain file name/],
    ['the name ./..', header(name('./..')), /plain file name/],
  ]
  for (const [what, block, cause] of refused)
    test(`with ${what} is refused`, () => assert.throws(() => readTarHeader(block), says(cause)))
})

describe('a GNU long name', () => {
  test('ends with its first NUL, or with the member', () => {
    assert.deepEqual(readLongName(Buffer.from('./a.ovf\0rest')), { name: 'a.ovf' })
    assert.deepEqual(readLongName(Buffer.from('a.ovf')), { name: 'a.ovf' })
    assert.deepEqual(readLongName(Buffer.from('a.ovf\0\nrest\0')), { name: 'a.ovf' })
  })
  test('has 255 characters at most', () => {
    assert.equal(readLongName(Buffer.from('n'.repeat(255))).name.length, 255)
    assert.throws(() => readLongName(Buffer.from('n'.repeat(256))), says(/plain file name/))
  })
})

describe('a pax header', () => {
  const record = (text: string) => {
    const length = [1, 2, 3]
      .map((digits) => text.length + 2 + digits)
      .find((sum, i) => String(sum).length === i + 1)
    return `${length} ${text}\n`
  }
  const accepted: [what: string, content: string, expected: unknown][] = [
    ['nothing', '', {}],
    ['a path', record('path=./disk.vmdk'), { name: 'disk.vmdk' }],
    ['a path with = in it', record('path=a=b'), { name: 'a=b' }],
    ['a size', record('size=8589934593'), { size: 8589934593 }],
    ['a size of 0', record('size=0'), { size: 0 }],
    ['the largest exact size', record('size=9007199254740991'), { size: 2 ** 53 - 1 }],
    [
      'both, and what is of no use',
      record('mtime=1.5') + record('path=a') + record('size=7'),
      { name: 'a', size: 7 },
    ],
    ['the last of two', record('size=7') + record('size=8'), { size: 8 }],
    ['a record without =', '5 ab\n', {}],
    ['a record of four bytes', '4 a\n', {}],
    ['a vendor that is not GNU', record('XGNU.sparse.size=1'), {}],
  ]
  for (const [what, content, expected] of accepted)
    test(`with ${what} is read`, () => assert.deepEqual(readPax(Buffer.from(content)), expected))

  const refused: [what: string, content: string, cause: RegExp][] = [
    ['a length of 3', '3 a\n', /damaged pax/],
    ['a length of 0', '0 a\n', /damaged pax/],
    ['no length', 'path=a\n', /damaged pax/],
    ['no blank behind its length', '8path=a\n', /damaged pax/],
    ['a blank before its length', ' 9 path=a\n', /damaged pax/],
    ['a length past its end', '11 path=a\n', /damaged pax/],
    ['bytes behind its records', `${record('path=a')}\0\0`, /damaged pax/],
    ['a size that is no number', record('size=0x10'), /impossible size/],
    ['a size of 2^53', record('size=9007199254740992'), /impossible size/],
    ['a negative size', record('size=-1'), /impossible size/],
    ['a size of 17 digits', record('size=00000000000000001'), /impossible size/],
    ['a link', record('linkpath=b'), /has a link/],
    ['a sparse file', record('GNU.sparse.major=1'), /sparse file/],
    ['a path into a folder', record('path=a/b'), /plain file name/],
  ]
  for (const [what, content, cause] of refused)
    test(`with ${what} is refused`, () => assert.throws(() => readPax(Buffer.from(content)), says(cause)))
})
