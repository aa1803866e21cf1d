import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fuzzRange } from './fuzz-range.ts'
import { judge } from './fuzzer.ts'
import { fuzzers } from './fuzzers.ts'
import { keptInputs } from './kept-inputs.ts'

/** Enough that each kind of change comes, and few enough that all take some seconds; `npm run test:fuzz` does the many. */
const RUNS = 500

/** Kinds of refusal that come at least: fewer would mean that the changes do not reach what they should. */
const KINDS: Record<string, number> = {
  qcow2: 25,
  vmdk: 30,
  ova: 45,
  gpt: 30,
  mbr: 7,
  gzip: 2,
  zstd: 3,
  xz: 5,
  bzip2: 2,
  http: 12,
}

for (const [parser, fuzzer] of Object.entries(fuzzers)) {
  describe(`a fuzzed ${parser} file`, () => {
    test('ends in a result or in an error of the catalogue', async () => {
      const { failures, accepted, refused, runs } = await fuzzRange(fuzzer, 1, RUNS)
      assert.deepEqual(failures, [])
      assert.equal(runs, RUNS)
      assert.ok(accepted > RUNS / 20, `${accepted} of ${RUNS} were accepted`)
      assert.ok(refused.size >= (KINDS[parser] ?? 0), `refused for ${[...refused.keys()].join('; ')}`)
    })

    for (const { name, input } of keptInputs(parser)) {
      test(`that was once read wrongly is not any more: ${name}`, async () => {
        const outcome = await judge(fuzzer, input)
        assert.notEqual(outcome.kind, 'fault', outcome.kind === 'fault' ? outcome.fault : '')
      })
    }
  })
}
