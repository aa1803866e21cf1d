import assert from 'node:assert/strict'
import { test } from 'node:test'
import { progressMarks } from './progress-marks.ts'

test('the console gets a line for each phase and every ten seconds', () => {
  const lines: string[] = []
  let now = 0
  const mark = progressMarks(
    (line) => lines.push(line),
    () => now,
  )
  const at = (ms: number, ...[phase, bytesDone, bytesTotal]: ['write' | 'verify', number, number | null]) => {
    now = ms
    mark({ phase, bytesDone, bytesTotal })
  }
  at(0, 'write', 0, 200e6)
  at(100, 'write', 1e6, 200e6)
  at(9999, 'write', 20e6, 200e6)
  at(10_000, 'write', 33.4e6, 200e6)
  at(15_000, 'write', 50e6, 200e6)
  at(20_001, 'write', 60e6, null)
  at(20_002, 'verify', 0, null)
  at(20_003, 'verify', 1, null)
  assert.deepEqual(lines, [
    'Phase write.',
    'Phase write: 33 of 200 MB, 16 %.',
    'Phase write: 60 MB.',
    'Phase verify.',
  ])
})
