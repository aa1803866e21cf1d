import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Tree } from './tree.ts'

describe('The tree of a root file system', () => {
  const cases = [
    { path: 'sbin/modprobe', lies: 'usr/bin/modprobe' },
    { path: 'bin/sh', lies: 'usr/bin/sh' },
    { path: 'usr/sbin/dropbear', lies: 'usr/bin/dropbear' },
    { path: 'lib/modules/6.1/a.ko', lies: 'usr/lib/modules/6.1/a.ko' },
    { path: 'lib64/ld.so', lies: 'usr/lib/ld.so' },
    { path: 'etc/sbin/x', lies: 'etc/sbin/x' },
  ]
  for (const { path, lies } of cases)
    test(`${path} lies in ${lies}`, () => {
      const tree = new Tree()
      tree.file(path, 'data')
      assert.ok(tree.has(path))
      assert.ok(tree.entries().some((entry) => entry.path === lies))
    })

  test('gives each directory before what is in it, in the order of the names whatever was added first', () => {
    const tree = new Tree()
    tree.file('z/y/x', '')
    tree.file('a-b', '')
    tree.file('a/c', '')
    tree.directory('a', 0o700)
    const own = tree.entries().filter(({ path }) => /^[az]/.test(path))
    assert.deepEqual(
      own.map(({ path, mode }) => [path, mode]),
      [
        ['a', 0o700],
        ['a-b', 0o644],
        ['a/c', 0o644],
        ['z', undefined],
        ['z/y', undefined],
        ['z/y/x', 0o644],
      ],
    )
  })

  test('holds the last of two entries of one name', () => {
    const tree = new Tree()
    tree.link('usr/bin/mount', 'busybox')
    tree.file('bin/mount', 'real')
    assert.deepEqual(
      [...tree.files()].map(({ data }) => data.toString()),
      ['real'],
    )
  })
})
