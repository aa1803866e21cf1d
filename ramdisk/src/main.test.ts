import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'

const main = join(import.meta.dirname, 'main.ts')

describe('byoi ramdisk', () => {
  const cases = [
    { args: ['--help'], status: 0, says: /^Usage: byoi ramdisk build/ },
    { args: ['build', '-h'], status: 0, says: /--flavour NAME/ },
    { args: [], status: 2, says: /The only thing to do with a ramdisk is: build/ },
    { args: ['burn'], status: 2, says: /is: build/ },
    { args: ['build', 'more'], status: 2, says: /is: build/ },
    { args: ['build', '--flavour', 'arm'], status: 2, says: /cloud or generic, not arm/ },
    { args: ['build', '--fats'], status: 2, says: /--fats/ },
  ]
  for (const { args, status, says } of cases)
    test(`${args.join(' ') || 'without a word'} ends with ${status}`, () => {
      const run = spawnSync(process.execPath, [main, ...args])
      assert.equal(run.status, status)
      assert.match(`${run.stdout.toString()}${run.stderr.toString()}`, says)
    })
})
