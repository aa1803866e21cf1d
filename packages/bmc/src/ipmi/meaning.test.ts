import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BmcError } from '../bmc.ts'
import { type IpmitoolText, ipmitoolTexts } from '../testing/ipmitool-texts.ts'
import { IpmiBmc } from './ipmi-bmc.ts'
import { IpmiFailure } from './ipmi-failure.ts'
import { hadSession, meaningOf } from './meaning.ts'
import { password, saying, standIn } from './stand-in.fixture.ts'

const { signal } = new AbortController()

/** What ipmitool says in every run, before and after the rest. */
const before =
  'Loading IANA PEN Registry...\nGet HPM.x Capabilities request failed, compcode = d4\nInvalid completion code received: Insufficient privilege level\n'
const after = 'Close Session command failed\n'

describe('A BMC that', () => {
  for (const [name, { stderr, fault, outcome, retry }] of Object.entries<IpmitoolText>(ipmitoolTexts)) {
    test(`${name}: ${fault}, ${outcome}, ${retry}`, async (t) => {
      const bmc = new IpmiBmc(await standIn(t, saying(`${before}${stderr}${after}`)))
      const error = await bmc.readPower(signal).catch((thrown: unknown) => thrown)
      assert.ok(error instanceof IpmiFailure, String(error))
      assert.deepEqual(
        [error.fault, error.outcome, error.meaning.retry],
        [fault, outcome, retry],
        error.message,
      )
      for (const text of [error.message, error.remedy]) {
        assert.match(text, /^[A-Za-z][^.]*(?:\.[^ ][^.]*)*\.$/, 'one sentence')
        assert.ok(!text.includes(password))
      }
    })
  }

  test('says what nobody knows: garbled, and told in plain characters', () => {
    const { fault, message } = meaningOf({
      killed: null,
      stderr: `Loading ...\nWhat \u001b[2J is this${'x'.repeat(500)}\n`,
    })
    assert.equal(fault, 'garbled')
    assert.match(message, /^ipmitool failed: What \?\[2J is thisx{1,120}\.$/)
  })
})

for (const { killed, stderr, had } of [
  { killed: null, stderr: ipmitoolTexts['is busy'].stderr, had: true },
  { killed: null, stderr: ipmitoolTexts['has no session left'].stderr, had: false },
  { killed: 'time', stderr: '', had: false },
] as const) {
  test(`${stderr.split('\n')[0] || 'a run that was killed'}: a session was open is ${had}`, () => {
    assert.equal(hadSession({ killed, stderr }), had)
  })
}

test('an error of the driver is a BmcError', () => {
  assert.ok(new IpmiFailure(meaningOf({ killed: 'time', stderr: '' })) instanceof BmcError)
})
