import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { ImagingError } from '../error.ts'
import { checkDeclaredType, DETECT_BYTES, detectFormat, type Format } from './magic.ts'
import { plainImage } from './test-images.ts'

const at = (offset: number, bytes: string, length = DETECT_BYTES) => {
  const file = Buffer.alloc(length)
  file.write(bytes, offset, 'latin1')
  return file
}
const bootSector = (file: Buffer) => {
  file.writeUInt16BE(0x55aa, 510)
  file[450] = 0x17
  return file
}
const text = (content: string) => Buffer.from(content)

const ROWS: [name: string, format: Format, file: Buffer][] = [
  ['qcow2', 'qcow2', plainImage()],
  ['an ISO with a qcow2 magic in its system area', 'qcow2', Buffer.concat([plainImage(), at(1, 'CD001', 6)])],
  ['a VMDK', 'vmdk', at(0, 'KDMV')],
  ['a VMDK descriptor', 'vmdk', text('# Disk DescriptorFile\nversion=1\n')],
  ['a VHD', 'vhd', at(0, 'conectix')],
  ['a VHDX', 'vhdx', at(0, 'vhdxfile')],
  ['a VDI', 'vdi', at(0x40, '\x7f\x10\xda\xbe')],
  ['QED', 'qed', at(0, 'QED\0')],
  ['Parallels', 'parallels', at(0, 'WithoutFreeSpace')],
  ['new Parallels', 'parallels', at(0, 'WithouFreSpacExt')],
  ['Bochs', 'bochs', at(0, 'Bochs Virtual HD Image')],
  ['cloop', 'cloop', at(0, '#!/bin/sh\n#V2.0 Format\n')],
  ['DMG', 'dmg', at(0, 'koly')],
  ['LUKS', 'luks', at(0, 'LUKS\xba\xbe')],
  ['an ISO', 'iso', at(0x8001, 'CD001')],
  ['gzip', 'gzip', gzipSync(plainImage())],
  ['xz', 'xz', at(0, '\xfd7zXZ\0')],
  ['zstd', 'zstd', zstdCompressSync(plainImage())],
  ['bzip2', 'bzip2', at(0, 'BZh91AY&SY')],
  ['zip', 'zip', at(0, 'PK\x03\x04')],
  ['7z', '7z', at(0, '7z\xbc\xaf\x27\x1c')],
  ['lz4', 'lz4', at(0, '\x04"M\x18')],
  ['tar', 'tar', at(257, 'ustar')],
  ['a web page', 'html', text('\ufeff\n <!DOCTYPE html><title>404</title>')],
]
const UNKNOWN: [name: string, file: Buffer][] = [
  ['zeros', Buffer.alloc(DETECT_BYTES)],
  ['a boot sector', bootSector(Buffer.alloc(512))],
  ['one byte', Buffer.from([0x51])],
  ['the letters BZh and more', text('BZh5 is no bzip2')],
]

describe('the format of a file', () => {
  for (const [name, format, file] of ROWS) {
    test(`${name} is recognised, and refused under any other declared type`, () => {
      assert.equal(detectFormat(file), format)
      for (const type of ['raw', 'qcow2'] as const) {
        if (type === format) checkDeclaredType(type, file)
        else
          assert.throws(
            () => checkDeclaredType(type, file),
            (error) => error instanceof ImagingError && error.code === 'FORMAT',
          )
      }
    })
  }

  for (const [name, file] of UNKNOWN) {
    test(`${name}: may be raw and is not qcow2`, () => {
      assert.equal(detectFormat(file), 'unknown')
      checkDeclaredType('raw', file)
      assert.throws(() => checkDeclaredType('qcow2', file), /declared as qcow2/)
    })
  }

  test('an ISO may be raw only where firmware boots it from a disk', () => {
    checkDeclaredType('raw', bootSector(at(0x8001, 'CD001')))
    assert.throws(() => checkDeclaredType('raw', at(0x8001, 'CD001')), /an ISO 9660 image/)
    assert.throws(() => checkDeclaredType('qcow2', bootSector(at(0x8001, 'CD001'))), /an ISO 9660 image/)
  })

  test('nothing at all is refused as any type', () => {
    for (const type of ['raw', 'qcow2'] as const)
      assert.throws(() => checkDeclaredType(type, Buffer.alloc(0)), /empty/)
  })

  const noTool = spawnSync('qemu-img', ['--version']).error ? 'qemu-img is not installed' : false
  for (const format of ['qcow2', 'vmdk', 'vdi', 'vpc', 'vhdx', 'qed', 'parallels'] as const) {
    test(`what qemu-img makes as ${format} is recognised`, { skip: noTool }, () => {
      const folder = mkdtempSync(join(tmpdir(), 'byoi-magic-'))
      try {
        const image = join(folder, 'image')
        assert.equal(spawnSync('qemu-img', ['create', '-f', format, image, '8M']).status, 0)
        assert.equal(
          detectFormat(readFileSync(image).subarray(0, DETECT_BYTES)),
          format === 'vpc' ? 'vhd' : format,
        )
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })
  }
})
