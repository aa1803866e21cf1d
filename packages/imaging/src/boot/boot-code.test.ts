import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type BootCode, bootCodeOf, grubCoreLba } from './boot-code.ts'

/** Where Debian's packages keep boot code. */
const files: [path: string, kind: BootCode, debianPackage: string, core: number | null][] = [
  ['/usr/lib/grub/i386-pc/boot.img', 'grub', 'grub-pc-bin', 1],
  ['/usr/lib/grub/i386-pc/boot_hybrid.img', 'grub', 'grub-pc-bin', null],
  ['/usr/lib/syslinux/mbr/mbr.bin', 'syslinux', 'syslinux-common', null],
  ['/usr/lib/syslinux/mbr/gptmbr.bin', 'syslinux', 'syslinux-common', null],
  ['/usr/lib/ISOLINUX/isohdpfx.bin', 'syslinux', 'isolinux', null],
]

const sectorOf = (code: Uint8Array): Buffer => {
  const sector = Buffer.alloc(512)
  sector.set(code.subarray(0, 440))
  sector.set([0x55, 0xaa], 510)
  return sector
}

for (const [path, kind, debianPackage, core] of files) {
  const skip = !existsSync(path) && `${debianPackage} is not installed`
  test(`${path} is boot code of ${kind}`, { skip }, () => {
    const sector = sectorOf(readFileSync(path))
    assert.equal(bootCodeOf(sector), kind)
    assert.equal(grubCoreLba(sector), core)
  })
}

const texts: [text: string, kind: BootCode | null][] = [
  ['', null],
  ['\xfa\x31\xc0', 'unknown'],
  ['\x33\xc0\x8e\xd0TCPA', 'windows'],
  ['Invalid partition table\0Error loading operating system\0Missing operating system\0', 'windows'],
]

for (const [text, kind] of texts) {
  test(`boot code ${JSON.stringify(text)} is ${kind ?? 'none'}`, () => {
    assert.equal(bootCodeOf(sectorOf(Buffer.from(text, 'latin1'))), kind)
  })
}

test('partition table and disk signature are no boot code', () => {
  const sector = Buffer.alloc(512)
  sector.fill(0xff, 440)
  assert.equal(bootCodeOf(sector), null)
})
