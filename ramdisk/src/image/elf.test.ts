import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { isElf, neededLibraries, withoutPages, withoutSections } from './elf.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-elf-'))
after(() => rmSync(directory, { recursive: true }))

const lacksReadelf =
  spawnSync('readelf', ['--version']).error === undefined ? false : 'readelf is not installed'

/** Runs the bytes as a program. */
function execute(program: Buffer, ...args: string[]): string {
  const path = join(directory, 'program')
  writeFileSync(path, program)
  chmodSync(path, 0o755)
  return execFileSync(path, args).toString()
}

describe('ELF files', () => {
  for (const path of [process.execPath, '/bin/sh', '/bin/tar']) {
    test(`the libraries that ${path} needs are those that readelf names`, { skip: lacksReadelf }, () => {
      const listed = execFileSync('readelf', ['--dynamic', '--wide', path]).toString()
      const names = [...listed.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1])
      assert.deepEqual(neededLibraries(readFileSync(path)), names)
    })
  }

  test('a program without its sections is smaller and runs', () => {
    const whole = readFileSync(process.execPath)
    const cut = withoutSections(whole)
    assert.ok(cut.length < whole.length)
    assert.equal(execute(cut, '--version'), `${process.version}\n`)
  })

  test('pages outside of a segment, or across its end, are not cut out', () => {
    const node = withoutSections(readFileSync(process.execPath))
    assert.throws(() => withoutPages(node, 0, 4096), /not inside one segment/)
    assert.throws(() => withoutPages(node, node.length - 8192, node.length + 8192), /not inside one segment/)
  })

  for (const bytes of [Buffer.from('#!/bin/sh\n'), Buffer.alloc(0), Buffer.from('\x7fELF\x01\x01')]) {
    test(`${JSON.stringify(bytes.toString('latin1'))} is refused`, () => {
      assert.equal(isElf(bytes), bytes.length === 6)
      assert.throws(() => neededLibraries(bytes), /not an ELF64/)
    })
  }
})
