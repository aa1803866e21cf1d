import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { lacks, isRoot } from '../deploy-image.fixture.ts'
import { scenarios } from './testing/rebinding.ts'
import type { Outcome } from './testing/rebinding-namespace.ts'

const own = ['--net', '--mount']

function missing(): string | false {
  const absent = lacks('unshare', 'ip', 'mount')
  if (absent || !isRoot) return absent || 'namespaces need root'
  const made = spawnSync('unshare', [...own, 'ip', 'link', 'set', 'lo', 'up'])
  return made.status !== 0 && 'this system gives no namespaces'
}

describe('A name is judged by the addresses that are connected to', { skip: missing() }, () => {
  let outcomes: Outcome[] = []

  before(() => {
    const child = join(import.meta.dirname, 'testing', 'rebinding-namespace.ts')
    const argv = [...own, process.execPath, child]
    const { stdout, stderr, status } = spawnSync('unshare', argv, { encoding: 'utf8', timeout: 200_000 })
    assert.equal(status, 0, stderr)
    outcomes = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Outcome)
    assert.equal(outcomes.length, scenarios.length + 1)
  })

  for (const [index, { title, cause, disk, reached }] of scenarios.entries()) {
    test(title, () => {
      const outcome = outcomes[index]
      assert.ok(outcome)
      if (cause) assert.match(outcome.cause ?? 'it went well', cause)
      else assert.equal(outcome.cause, null)
      assert.deepEqual([outcome.disk, outcome.reached], [disk, reached])
      if (reached.length === 0) assert.equal(outcome.opens, 0, 'the kernel sent a packet')
    })
  }

  test('I3.34 nobody at the public address of a name, and a private one beside it', () => {
    const outcome = outcomes.at(-1)
    assert.match(
      outcome?.cause ?? '',
      /img\.test port \d+ (cannot be reached|refused|could not be connected)/,
    )
    assert.deepEqual(outcome?.reached, [])
  })
})
