import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { packInitrd } from './initrd.ts'
import { Tree } from './tree.ts'

const missing = ['zstd', 'cpio'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined)

describe('A packed initramfs', { skip: missing.length > 0 ? `no ${missing.join(' and ')}` : false }, () => {
  const tree = new Tree()
  tree.file('init', '#!/bin/sh\n', 0o755)
  tree.device('dev/console', 5, 1)

  for (const effort of ['quick', 'best'] as const) {
    test(`is unpacked by zstd and cpio, and another archive may follow it (${effort})`, () => {
      const packed = packInitrd(tree, effort)
      assert.equal(packed.length % 4, 0)
      const { stdout: archive } = spawnSync('zstd', ['-dcq'], { input: packed })
      const { status, stdout } = spawnSync('cpio', ['-t', '--quiet'], { input: archive })
      assert.equal(status, 0)
      const names = stdout.toString().trim().split('\n')
      assert.deepEqual(names, [
        'bin',
        'dev',
        'dev/console',
        'init',
        'lib',
        'lib64',
        'sbin',
        'usr',
        'usr/sbin',
      ])
    })
  }
})
