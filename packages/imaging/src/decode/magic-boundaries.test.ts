import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { checkDeclaredType, DETECT_BYTES, detectFormat, type Format } from './magic.ts'

const MAGICS: [format: Format, at: number, magic: string, remedy: RegExp][] = [
  ['qcow2', 0, 'QFI\xfb', /^Declare the type qcow2, or/],
  ['vmdk', 0, 'KDMV', /^Declare the type vmdk/],
  ['vmdk', 0, 'COWD', /^Declare the type vmdk/],
  ['vmdk', 0, '# Disk DescriptorFile', /^Declare the type vmdk/],
  ['vhd', 0, 'conectix', /^Convert the image with qemu-img convert -O qcow2/],
  ['vhdx', 0, 'vhdxfile', /^Convert the image/],
  ['vdi', 0x40, '\x7f\x10\xda\xbe', /^Convert the image/],
  ['qed', 0, 'QED\0', /^Convert the image/],
  ['parallels', 0, 'WithoutFreeSpace', /^Convert the image/],
  ['parallels', 0, 'WithouFreSpacExt', /^Convert the image/],
  ['bochs', 0, 'Bochs Virtual HD Image', /^Convert the image/],
  ['cloop', 0, '#!/bin/sh\n#V2.0 Format\n', /^Convert the image/],
  ['dmg', 0, 'koly', /^Convert the image/],
  ['luks', 0, 'LUKS\xba\xbe', /^Convert the image/],
  ['gzip', 0, '\x1f\x8b\x08', /^Serve the image itself, or packed once/],
  ['xz', 0, '\xfd7zXZ\0', /^Serve the image itself, or packed once/],
  ['zstd', 0, '\x28\xb5\x2f\xfd', /^Serve the image itself, or packed once/],
  ['bzip2', 4, '1AY&SY', /^Serve the image itself, or packed once/],
  ['lz4', 0, '\x04\x22\x4d\x18', /^Unpack the file/],
  ['7z', 0, '7z\xbc\xaf\x27\x1c', /^Unpack the file/],
  ['zip', 0, 'PK\x03\x04', /^Unpack the file/],
  ['tar', 257, 'ustar', /^Declare the type ova/],
  ['iso', 0x8001, 'CD001', /^Serve a disk image with an installed system/],
]

function fileOf(at: number, magic: string, length = DETECT_BYTES): Buffer {
  const file = Buffer.alloc(length)
  file.write(magic, at, 'latin1')
  return file
}

const refused = (cause: RegExp, remedy: RegExp) => (error: unknown) =>
  error instanceof ImagingError &&
  error.code === 'FORMAT' &&
  cause.test(error.cause) &&
  remedy.test(error.remedy)

describe('a magic number', () => {
  for (const [format, at, magic, remedy] of MAGICS) {
    test(`of ${format}, ${JSON.stringify(magic)}: counts whole and at its place only, in a file that just holds it`, () => {
      assert.equal(detectFormat(fileOf(at, magic, at + magic.length)), format)
      assert.equal(detectFormat(fileOf(at, magic).subarray(0, at + magic.length - 1)), 'unknown')
      assert.equal(detectFormat(fileOf(at + 1, magic)), 'unknown')
      for (let changed = at; changed < at + magic.length; changed++) {
        const file = fileOf(at, magic)
        file[changed] = (file[changed] as number) ^ 0x80
        assert.equal(detectFormat(file), 'unknown', `byte ${changed} changed`)
      }
      const inside = Buffer.concat([Buffer.alloc(3), fileOf(at, magic)]).subarray(3)
      assert.equal(detectFormat(inside), format, 'as a view into a larger buffer')
    })

    test(`of ${format}, ${JSON.stringify(magic)}: says what to do`, () => {
      const type = format === 'qcow2' ? 'raw' : 'qcow2'
      const name = format === 'iso' ? 'an ISO 9660 image' : `a file in the format ${format}`
      const cause = new RegExp(`^The image is declared as ${type} but is ${name}\\.$`)
      assert.throws(() => checkDeclaredType(type, fileOf(at, magic)), refused(cause, remedy))
    })
  }
})

describe('what is declared', () => {
  test('as vmdk or ova is taken where it is one', () => {
    checkDeclaredType('vmdk', fileOf(0, 'KDMV'))
    checkDeclaredType('ova', fileOf(257, 'ustar'))
    checkDeclaredType('qcow2', fileOf(0, 'QFI\xfb'))
    for (const type of ['vmdk', 'ova'] as const)
      assert.throws(
        () => checkDeclaredType(type, fileOf(0, 'QFI\xfb')),
        refused(/but is a file in the format qcow2/, /^Declare the type qcow2/),
      )
  })

  test('and is nothing that is known', () => {
    const cause = /^The image is declared as qcow2 but is not \(its first bytes are not those of qcow2\)\.$/
    assert.throws(
      () => checkDeclaredType('qcow2', Buffer.alloc(512)),
      refused(cause, /^Check the URL, or declare the type raw/),
    )
  })

  for (const text of [
    '<!doctype html>',
    '<html lang="en">',
    '<HEAD>',
    '<body>',
    '<?xml version="1.0"?>',
    '\n\t  <html>',
    '\u00ef\u00bb\u00bf<html>',
  ])
    test(`and is the web page ${JSON.stringify(text)}`, () => {
      const page = Buffer.from(text, 'latin1')
      assert.equal(detectFormat(page), 'html')
      assert.throws(
        () => checkDeclaredType('raw', page),
        refused(/but is a web page\.$/, /^Check the URL and its access rights/),
      )
    })

  for (const text of ['html', '<htmlx>', '<!doctype  html>', 'x<html>', 'x\u00ef\u00bb\u00bf<html>', '<xml>'])
    test(`and is no web page: ${JSON.stringify(text)}`, () => {
      assert.equal(detectFormat(Buffer.from(text, 'latin1')), 'unknown')
    })

  test('a web page begins in the first 512 bytes', () => {
    assert.equal(detectFormat(Buffer.from(' '.repeat(506) + '<html>')), 'html')
    assert.equal(detectFormat(Buffer.from(' '.repeat(508) + '<html>')), 'unknown')
  })

  for (const [entry, at] of [450, 466, 482, 498].entries())
    test(`an ISO with MBR entry ${entry} alone is a hybrid, and none without the whole boot signature`, () => {
      const iso = fileOf(0x8001, 'CD001')
      iso.writeUInt16BE(0x55aa, 510)
      assert.throws(() => checkDeclaredType('raw', iso), refused(/an ISO 9660 image/, /installation medium/))
      iso[at] = 0x83
      checkDeclaredType('raw', iso)
      for (const byte of [510, 511]) {
        const unsigned = Buffer.from(iso)
        unsigned[byte] = 0
        assert.throws(
          () => checkDeclaredType('raw', unsigned),
          refused(/an ISO 9660 image/, /installation medium/),
        )
      }
    })

  test('nothing at all is refused with its own words', () => {
    assert.throws(
      () => checkDeclaredType('raw', Buffer.alloc(0)),
      refused(/^The served file is empty\.$/, /^Put the image at the URL\.$/),
    )
  })
})
