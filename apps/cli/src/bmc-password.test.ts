import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { readBmcPassword } from './bmc-password.ts'
import type { Context } from './context.ts'

/** A terminal at which somebody types. */
function terminal(typed: string): { context: Context; shown: Promise<string>; done: () => void } {
  const stdin = Object.assign(new PassThrough(), { isTTY: true })
  const stderr = new PassThrough()
  stdin.write(typed)
  const context = { env: {}, stdin, stderr, stdout: new PassThrough() } as unknown as Context
  return { context, shown: text(stderr), done: () => void stderr.end() }
}

describe('A password that is typed', () => {
  test('is asked for, and not shown', async () => {
    const { context, shown, done } = terminal('canary s3cret \r')
    assert.equal(await readBmcPassword({}, context), 'canary s3cret ')
    done()
    assert.equal(await shown, "The BMC's password: \n")
  })

  for (const [what, typed] of [
    ['empty', '\r'],
    ['broken off', '\u0003'],
    ['the end of the input', '\u0004'],
  ] as const) {
    test(`is wrong usage when it is ${what}`, async () => {
      const { context, done } = terminal(typed)
      await assert.rejects(readBmcPassword({}, context), { name: 'UsageError' })
      done()
    })
  }
})
