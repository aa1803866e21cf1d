import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BmcError, type BmcFault } from './bmc.ts'
import { type BmcCall, judge, type Verdict } from './judge.ts'

const faults: readonly BmcFault[] = [
  'unreachable',
  'busy',
  'authentication',
  'identity',
  'garbled',
  'refused',
  'not-done',
  'in-use',
]
const calls: readonly BmcCall[] = ['read-power', 'set-boot', 'read-boot', 'set-power', 'media']
const outcomes: readonly BmcError['outcome'][] = ['refused', 'unknown']

/** What holds for each fault, by call; `power`: the same for a call that sets the power. */
const rows: Record<
  BmcFault,
  { tries: Verdict['tries']; others: Verdict['afterwards']; power: Verdict['afterwards'] }
> = {
  unreachable: { tries: 'budget', others: 'fail', power: 'hold' },
  busy: { tries: 'budget', others: 'fail', power: 'hold' },
  authentication: { tries: 2, others: 'hold', power: 'hold' },
  identity: { tries: 1, others: 'fail', power: 'hold' },
  garbled: { tries: 1, others: 'fail', power: 'hold' },
  refused: { tries: 1, others: 'fail', power: 'hold' },
  'not-done': { tries: 'budget', others: 'fail', power: 'hold' },
  'in-use': { tries: 'budget', others: 'fail', power: 'hold' },
}

/** Where the table's rows do not hold. */
function expected(call: BmcCall, fault: BmcFault, outcome: BmcError['outcome']): Verdict {
  const { tries, others, power } = rows[fault]
  if (call === 'set-power') {
    const isCertain = fault === 'refused' && outcome === 'refused'
    return { tries, afterwards: isCertain ? 'fail' : power }
  }
  // A power that settles in no state.
  if (call === 'read-power' && fault === 'not-done') return { tries, afterwards: 'hold' }
  return { tries, afterwards: others }
}

for (const fault of faults) {
  for (const call of calls) {
    for (const outcome of outcomes) {
      const { tries, afterwards } = expected(call, fault, outcome)
      test(`${call} that is ${fault}, outcome ${outcome}: ${tries} tries, then ${afterwards}`, () => {
        assert.deepEqual(judge(call, { fault, outcome }), { tries, afterwards })
      })
    }
  }
}
