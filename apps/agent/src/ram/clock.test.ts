import assert from 'node:assert/strict'
import { test } from 'node:test'
import { timeToSet } from './clock.ts'

const made = 1_800_000_000
const year = 365 * 24 * 3600

const cases: [title: string, now: number, toSet: number | null][] = [
  ['right', made + 40, null],
  ['right, the medium was made an hour ago', made + 3600, null],
  ['ten years behind', made - 10 * year, made + 12],
  ['ten years ahead', made + 10 * year, made + 12],
  ['a minute behind: a certificate that was just made would not be valid yet', made - 60, made + 12],
  ['two hours ahead', made + 7200, made + 12],
]

for (const [title, now, toSet] of cases) {
  test(`a clock that is ${title} is ${toSet === null ? 'left alone' : 'set'}`, () => {
    assert.equal(timeToSet(now, made, 12.9), toSet)
  })
}
