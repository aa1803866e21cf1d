import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesText, durationText, progressLine, progressText } from './progress-line.ts'

const sizes: [number, string][] = [
  [0, '0 B'],
  [999, '999 B'],
  [1000, '0.98 KiB'],
  [1024, '1.00 KiB'],
  [10 * 1024, '10.0 KiB'],
  [100 * 1024 ** 2, '100 MiB'],
  [12 * 1024 ** 3, '12.0 GiB'],
  [1536 * 1024 ** 4, '1.50 PiB'],
]
for (const [bytes, text] of sizes) {
  test(`${bytes} bytes read ${text}`, () => assert.equal(bytesText(bytes), text))
}

const durations: [number, string][] = [
  [0, '0 s'],
  [59.4, '59 s'],
  [59.6, '1 min 0 s'],
  [200, '3 min 20 s'],
  [7500, '2 h 5 min'],
]
for (const [seconds, text] of durations) {
  test(`${seconds} seconds read ${text}`, () => assert.equal(durationText(seconds), text))
}

const state = { label: 'write', bytesDone: 512, bytesTotal: 1024, bytesPerSecond: 100, secondsLeft: 6 }

test('what is not known is left out', () => {
  assert.equal(progressText(state), 'write  50.0 %  512 B of 1.00 KiB  100 B/s  6 s left')
  const unknown = { label: 'write', bytesDone: 512, bytesTotal: null, bytesPerSecond: 0, secondsLeft: null }
  assert.equal(progressText(unknown), 'write  512 B')
})

/** Collects what is written; `columns` and `isTTY` as a terminal has them. */
function output(isTTY: boolean) {
  let text = ''
  const stream = { isTTY, columns: 20, write: (piece: string) => ((text += piece), true) }
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text }
}

test('without a terminal there is a line at each new label and every five seconds', () => {
  const { stream, text } = output(false)
  let now = 0
  const line = progressLine(stream, () => now)
  for (; now < 12_000; now += 1000) line.show(state)
  line.show({ ...state, label: 'verify' })
  line.end()
  const labels = text()
    .split('\n')
    .map((each) => each.split(' ')[0])
  assert.deepEqual(labels, ['write', 'write', 'write', 'verify', ''])
  assert.ok(!text().includes('\x1b'))
})

test('on a terminal the line is drawn over itself, fits, and its last state stays', () => {
  const { stream, text } = output(true)
  let now = 0
  const line = progressLine(stream, () => now)
  line.show(state)
  now += 10
  line.show({ ...state, bytesDone: 1024 })
  line.end()
  assert.equal(text(), '\r\x1b[Kwrite  50.0 %  512 \r\x1b[Kwrite  100.0 %  1.0\n')
})
