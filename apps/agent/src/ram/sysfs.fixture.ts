/** A tree like /sys, made of files and links in a directory of its own. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import type { TestContext } from 'node:test'

export interface TestSysfs {
  path: string
  /** Writes attributes of a device, by its path below `devices`, and returns the device's folder. */
  device(path: string, attributes: Record<string, string | Buffer>): string
  /** Links a device into a class, under its own name. */
  inClass(name: string, device: string): void
  link(from: string, to: string): void
}

export function testSysfs(t: TestContext): TestSysfs {
  const path = mkdtempSync(join(tmpdir(), 'byoi-sysfs-'))
  t.after(() => rmSync(path, { recursive: true }))
  for (const folder of ['class/block', 'class/net', 'class/dmi/id'])
    mkdirSync(join(path, folder), { recursive: true })
  const link = (from: string, to: string) => {
    mkdirSync(dirname(from), { recursive: true })
    symlinkSync(relative(dirname(from), to), from)
  }
  return {
    path,
    device: (at, attributes) => {
      const folder = join(path, 'devices', at)
      mkdirSync(folder, { recursive: true })
      for (const [name, content] of Object.entries(attributes)) {
        mkdirSync(dirname(join(folder, name)), { recursive: true })
        writeFileSync(join(folder, name), content)
      }
      return folder
    },
    inClass: (name, device) => link(join(path, 'class', name, basename(device)), device),
    link,
  }
}

/** Attributes that every disk has; `bytes` a multiple of 512. */
export const diskAttributes = (bytes: number, sectorSize = 512, more: Record<string, string> = {}) => ({
  size: `${bytes / 512}\n`,
  ro: '0\n',
  removable: '0\n',
  hidden: '0\n',
  'queue/logical_block_size': `${sectorSize}\n`,
  'queue/rotational': '0\n',
  ...more,
})

/** The page of a SCSI disk's vital product data that holds its serial number. */
export function serialPage(text: string): Buffer {
  const page = Buffer.concat([Buffer.from([0, 0x80, 0, 0]), Buffer.from(text, 'latin1')])
  page.writeUInt16BE(Buffer.byteLength(text, 'latin1'), 2)
  return page
}
