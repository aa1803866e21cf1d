import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type BmcCall } from '../judge.ts'
import { type Attempt, type Judged, judged } from './judged.ts'

/** Columns of the matrix. `session`: whatever logs in. */
export type MatrixCall = 'read-power' | 'set-boot' | 'read-boot' | 'set-power' | 'session'
export type Driver = 'redfish' | 'ipmi'

/**
 * A cell. `promise`: `R` ends done by itself; `T` is tried again, then an error; `E` an error; `T>H` and `H` hold; `H after 2` hold
 * after two tries; `flagged` ends done, with a word of warning; `-` not applicable. Each driver names the injectors of the cell's
 * fault, of which each is a test, or null where the cell is not its own.
 */
export interface MatrixRow {
  id: string
  fault: string
  call: MatrixCall
  promise: string
  note?: string
  redfish: string[] | null
  ipmi: string[] | null
}

/** A driver against a BMC that has the fault. */
export interface Cell<Bmc> extends Attempt<Bmc> {
  /** What a failure is judged as. */
  judgedAs: BmcCall
  /** What else must hold afterwards, told from outside of the driver. */
  verify: (outcome: Judged) => Promise<void>
}

const calls: readonly MatrixCall[] = ['read-power', 'set-boot', 'read-boot', 'set-power', 'session']
const file = join(import.meta.dirname, '..', '..', 'testdata', 'bmc-faults.json')
const longestMs = 150_000

export const matrixRows = (): MatrixRow[] =>
  (JSON.parse(readFileSync(file, 'utf8')) as { rows: MatrixRow[] }).rows

/** What the promise allows a call to end as. */
function endOf(promise: string): Judged['ends'] {
  if (promise.startsWith('R') || promise === 'flagged') return 'done'
  return promise.includes('H') ? 'hold' : 'fail'
}

function assertKept(promise: string, outcome: Judged): void {
  assert.equal(outcome.ends, endOf(promise), `${promise}: ${outcome.error?.fault}: ${outcome.error?.message}`)
  if (promise.startsWith('T')) assert.ok(outcome.tries > 1, 'it is tried again')
  if (promise === 'H after 2') assert.equal(outcome.tries, 2)
  assert.ok(outcome.longest <= longestMs, `a try took ${outcome.longest} ms`)
}

/** One test for each injector of each cell of a driver. `exempt`: cells that are another driver's, with the reason. */
export function testFaultMatrix<Bmc extends { close: () => Promise<void> }>(
  driver: Driver,
  arrange: (t: TestContext, call: MatrixCall, injector: string) => Promise<Cell<Bmc>>,
  exempt: Readonly<Record<string, string>>,
): void {
  const rows = matrixRows()

  test('the matrix has a cell for each fault and call, and each cell a name of its own', () => {
    const faults = new Set(rows.map(({ fault }) => fault))
    for (const fault of faults) {
      const of = rows.filter((row) => row.fault === fault).map(({ call }) => call)
      assert.deepEqual(of.toSorted(), calls.toSorted(), fault)
    }
    assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length)
  })

  test(`every cell that applies has a test of the ${driver} driver`, () => {
    const without = rows.filter((row) => row.promise !== '-' && (row[driver] ?? []).length === 0)
    assert.deepEqual(
      without.map(({ id }) => id),
      Object.keys(exempt),
    )
    const idle = rows.filter((row) => row.promise === '-' && row[driver] !== null)
    assert.deepEqual(idle, [], 'a cell that does not apply has no injector')
  })

  for (const { id, promise, call, ...row } of rows) {
    for (const injector of row[driver] ?? []) {
      test(`${id} by ${injector}: ${promise}`, async (t) => {
        const cell = await arrange(t, call, injector)
        const outcome = await judged(cell.judgedAs, cell)
        assertKept(promise, outcome)
        await cell.verify(outcome)
      })
    }
  }
}
