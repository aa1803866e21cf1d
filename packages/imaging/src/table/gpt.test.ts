import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { decodeGptEntries, decodeGptHeader, encodeGptHeader } from './gpt.ts'
import { guidBytes, guidText } from './guid.ts'
import { makeGpt, MiB } from './testing/make-image.ts'
import { lacking, runTool } from './testing/run-tool.ts'

test('A table that sgdisk made decodes to what sgdisk was told, and encodes to the same bytes.', {
  skip: lacking('sgdisk'),
}, () => {
  const directory = mkdtempSync(join(tmpdir(), 'byoi-gpt-'))
  try {
    const path = join(directory, 'disk')
    writeFileSync(path, '')
    truncateSync(path, 8 * MiB)
    const [disk, unique] = ['01234567-89ab-cdef-0123-456789abcdef', 'fedcba98-7654-3210-fedc-ba9876543210']
    runTool('sgdisk', [
      '-U',
      disk,
      '-n',
      '3:2048:4095',
      '-t',
      '3:ef00',
      '-u',
      `3:${unique}`,
      '-c',
      '3:Système EFI',
      path,
    ])
    const bytes = readFileSync(path)
    const header = decodeGptHeader(bytes.subarray(512, 1024), 1)
    assert.ok(!('fault' in header))
    assert.equal(guidText(header.diskGuid), disk)
    assert.deepEqual(
      { ...header, diskGuid: null, entriesCrc: null, extra: header.extra.length },
      {
        headerSize: 92,
        myLba: 1,
        alternateLba: 16383,
        firstUsableLba: 34,
        lastUsableLba: 16350,
        diskGuid: null,
        entriesLba: 2,
        entryCount: 128,
        entrySize: 128,
        entriesCrc: null,
        extra: 0,
      },
    )
    assert.deepEqual(encodeGptHeader(header, 512), bytes.subarray(512, 1024))
    assert.deepEqual(decodeGptEntries(bytes.subarray(1024, 1024 + 16384), 128), [
      {
        number: 3,
        type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
        guid: unique,
        startLba: 2048,
        endLba: 4095,
        name: 'Système EFI',
      },
    ])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

test('A GUID survives its way to bytes and back.', () => {
  const text = '0fc63daf-8483-4772-8e79-3d69d8477de4'
  assert.equal(guidText(guidBytes(text)), text)
  assert.equal(Buffer.from(guidBytes(text)).toString('hex'), 'af3dc60f838472478e793d69d8477de4')
})

test('Every bit of a header is covered by a check.', () => {
  const sector = makeGpt().subarray(512, 1024)
  for (let bit = 0; bit < 92 * 8; bit++) {
    const changed = Buffer.from(sector)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.ok('fault' in decodeGptHeader(changed, 1), `bit ${bit}`)
  }
  assert.ok(!('fault' in decodeGptHeader(sector, 1)))
})
