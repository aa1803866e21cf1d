import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import {
  bootMediumArchive,
  bootMediumPath,
  emptyBootMediumArchive,
  joinKernelWords,
  kernelWordsFile,
} from './boot-archive.ts'
import type { BootMedium } from './agent-protocol.ts'
import { newcArchive, type NewcEntry } from './newc.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-boot-archive-'))
after(() => rmSync(directory, { recursive: true }))

const lacks = (tool: string): string | false =>
  spawnSync(tool, ['--version']).error === undefined ? false : `${tool} is not installed`

const medium: BootMedium = {
  controlUrl: 'https://192.0.2.1:8443/',
  caPem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  server: 'ns1.example.test',
  epoch: 7,
  secret: 'canary-secret',
  time: 1_800_000_000,
  network: null,
}

describe('The archive of a boot medium', () => {
  test('has 4096 bytes that cpio unpacks to the medium, readable by root alone', {
    skip: lacks('cpio'),
  }, () => {
    const archive = bootMediumArchive(medium)
    assert.equal(archive.length, 4096)
    const { status, stderr } = spawnSync('cpio', ['-idm', '--no-absolute-filenames'], {
      cwd: directory,
      input: archive,
    })
    assert.equal(status, 0, stderr.toString())
    const path = join(directory, bootMediumPath)
    assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), medium)
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  test('is the same for the same medium, and as long without one', () => {
    assert.deepEqual(bootMediumArchive(medium), bootMediumArchive(medium))
    assert.equal(emptyBootMediumArchive().length, 4096)
  })

  test('is refused where the medium does not fit, without a word of it', () => {
    const large = { ...medium, caPem: 'canary'.repeat(700) }
    assert.throws(
      () => bootMediumArchive(large),
      (error: Error) => error instanceof RangeError && !error.message.includes('canary'),
    )
  })

  test('fits to the last byte', () => {
    const room = 4096 - Buffer.concat([...newcArchive(entriesOf(medium))]).length
    const fits = { ...medium, caPem: medium.caPem + 'A'.repeat(room) }
    assert.equal(bootMediumArchive(fits).length, 4096)
    assert.throws(() => bootMediumArchive({ ...fits, caPem: `${fits.caPem}AAAA` }), RangeError)
  })
})

const entriesOf = (medium: BootMedium): NewcEntry[] => [
  { path: 'etc', kind: 'directory' },
  { path: 'etc/byoi', kind: 'directory' },
  { path: bootMediumPath.slice(1), kind: 'file', data: Buffer.from(JSON.stringify(medium)) },
]

test('cpio lists what newcArchive writes: kinds, modes, sizes, devices and links', {
  skip: lacks('cpio'),
}, () => {
  const archive = Buffer.concat([
    ...newcArchive([
      { path: 'dev', kind: 'directory' },
      { path: 'dev/console', kind: 'device', major: 5, minor: 1 },
      { path: 'init', kind: 'file', mode: 0o755, data: Buffer.from('#!/bin/sh\n') },
      { path: 'odd', kind: 'file', data: Buffer.from('abc') },
      { path: 'sbin', kind: 'link', target: 'usr/bin' },
    ]),
  ])
  const { status, stdout } = spawnSync('cpio', ['-tvn'], {
    input: archive,
    env: { ...process.env, TZ: 'UTC' },
  })
  assert.equal(status, 0)
  const lines = stdout.toString().trim().split('\n')
  assert.deepEqual(
    lines.map((line) => line.replaceAll(/ +/g, ' ')),
    [
      'drwxr-xr-x 2 0 0 0 Jan 1 1970 dev',
      'crw------- 1 0 0 5, 1 Jan 1 1970 dev/console',
      '-rwxr-xr-x 1 0 0 10 Jan 1 1970 init',
      '-rw-r--r-- 1 0 0 3 Jan 1 1970 odd',
      'lrwxrwxrwx 1 0 0 7 Jan 1 1970 sbin -> usr/bin',
    ],
  )
})

describe('The file of kernel words', () => {
  for (const words of ['', 'console=tty0 console=ttyS1,115200', 'a=$b;c&d|e{f}<g>#h*']) {
    test(`is sound GRUB script of the length asked for: ${words}`, {
      skip: lacks('grub-script-check'),
    }, () => {
      const file = kernelWordsFile(words, 512)
      assert.equal(file.length, 512)
      assert.equal(file.toString().trimEnd(), `set words='${words}'`)
      const { status, stderr } = spawnSync('grub-script-check', { input: file })
      assert.equal(status, 0, stderr.toString())
    })
  }

  const refused = [
    { what: 'a quote', words: "a'b" },
    { what: 'a double quote', words: 'a"b' },
    { what: 'a backslash', words: String.raw`a\b` },
    { what: 'a line end', words: 'a\nb' },
    { what: 'a letter outside of ASCII', words: 'ä' },
    { what: 'more than fits', words: 'a'.repeat(500) },
  ]
  for (const { what, words } of refused)
    test(`refuses ${what}`, () => assert.throws(() => kernelWordsFile(words, 512), RangeError))
})

describe('Kernel words of one server', () => {
  const usual = 'console=tty0 console=ttyS0,115200 panic=60'
  const cases = [
    { own: '', gives: usual },
    { own: 'console=ttyS1,57600', gives: 'console=tty0 panic=60 console=ttyS1,57600' },
    { own: '  nomodeset  debug ', gives: `${usual} nomodeset debug` },
    {
      own: 'console=ttyAMA0 console=tty1',
      gives: 'console=ttyS0,115200 panic=60 console=ttyAMA0 console=tty1',
    },
  ]
  for (const { own, gives } of cases)
    test(`'${own}' gives '${gives}'`, () => assert.equal(joinKernelWords(usual, own), gives))
})
