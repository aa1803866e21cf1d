import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { readEvents, type ServerSentEvent } from './server-sent-events.ts'

const text =
  ': hello\n\nid: 1\nevent: deployment\ndata: {"a":"é"}\n\n: alive\n\nid:2\r\ndata:x\r\ndata: y\r\n\r\nid: 3\ndata: cut'
const expected: ServerSentEvent[] = [
  { id: '1', data: '{"a":"é"}' },
  { id: '2', data: 'x\ny' },
]

for (const size of [1, 2, 3, 7, 1000]) {
  test(`events cut into pieces of ${size} bytes read the same; comments and a cut end are left out`, async () => {
    const bytes = Buffer.from(text)
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
      bytes.subarray(at * size, (at + 1) * size),
    )
    const seen: ServerSentEvent[] = []
    for await (const event of readEvents(Readable.from(pieces))) seen.push(event)
    assert.deepEqual(seen, expected)
  })
}

test('an event that never ends a line is given up', async () => {
  const endless = Readable.from(Array.from({ length: 5 }, () => Buffer.alloc(1024 * 1024, 0x61)))
  await assert.rejects(async () => {
    for await (const event of readEvents(endless)) assert.fail(event.data)
  }, RangeError)
})
