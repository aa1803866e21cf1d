import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertDisk, assertFailure, deploy, image, rightSum, staged } from './testing/deploying.ts'
import { fetchLimits } from './fetch-limits.ts'
import { type Handler, head, scriptedServer } from './testing/scripted-server.ts'
import { SimulatedTime } from './testing/simulated-time.ts'

/** All limits are those of production; only the time is simulated. */
const { openBudgetMs, retryBudgetMs, retryFirstMs, retryMostMs, retryAfterMostMs } = fetchLimits
const busy = (status: number, fields = {}): string => head(status, { 'Content-Length': 0, ...fields })

/** How long a pause is that adds to what the server asked for: at the first failure. */
const [SHORT, LONG] = [retryFirstMs / 2, retryFirstMs]

const ASKED: [what: string, text: () => string, least: number, most: number][] = [
  ['in seconds', () => '60', 60_000 + SHORT, 60_000 + LONG],
  ['as a date', () => new Date(Date.now() + 50_000).toUTCString(), 40_000, 50_000 + LONG],
  ['for a day', () => '86400', retryAfterMostMs + SHORT, retryAfterMostMs + LONG],
  ['as a date in the past', () => 'Sun, 06 Nov 1994 08:49:37 GMT', SHORT, LONG],
  ['for nothing', () => '0', SHORT, LONG],
  ['in words', () => 'soon', SHORT, LONG],
  ['below zero', () => '-5', SHORT, LONG],
]

for (const status of [429, 503]) {
  for (const [what, text, least, most] of ASKED) {
    test(`I4.47 ${status} at the start with a Retry-After ${what}`, async () => {
      await using server = await scriptedServer(
        staged({
          open: (request, socket, index, count) =>
            count === 0
              ? void socket.end(busy(status, { 'Retry-After': text() }))
              : staged({})(request, socket, index),
          // Nothing but the opening matters here.
          look: (_, socket) => void socket.end(busy(404)),
        }),
      )
      using time = new SimulatedTime()
      const ended = await deploy(server.origin)
      assertFailure(ended, 'DOWNLOAD', /answered 404/, 'untouched')
      const [pause = 0] = time.pauses
      assert.ok(pause >= least && pause <= most, `${pause} ms`)
      assert.equal(time.pauses.length, 1)
    })
  }
}

test('I4.47 429 with a Retry-After in the middle', async () => {
  await using server = await scriptedServer(
    staged(
      {
        resume: (request, socket, index, count) =>
          count < 2 ? void socket.end(busy(429, { 'Retry-After': 100 })) : staged({})(request, socket, index),
      },
      { cut: { how: 'end', at: 1_000_000 } },
    ),
  )
  using time = new SimulatedTime()
  const ended = await deploy(server.origin, { checkSum: rightSum })
  assertDisk(ended, 'complete')
  assert.equal(time.pauses.filter((pause) => pause >= 100_000 && pause < 102_000).length, 2)
})

const FOR_GOOD: [what: string, handler: Handler, cause: RegExp, most: number, requests: [number, number]][] =
  [
    [
      '429',
      (_, socket) => void socket.end(busy(429)),
      /answered 429 Too Many Requests/,
      openBudgetMs,
      [5, 12],
    ],
    [
      '500',
      (_, socket) => void socket.end(busy(500)),
      /answered 500 Internal Server Error/,
      openBudgetMs,
      [5, 12],
    ],
    [
      'a reset',
      (_, socket) => void socket.resetAndDestroy(),
      /reset by the image server/,
      openBudgetMs,
      [5, 12],
    ],
    [
      'an end before any answer',
      (_, socket) => void socket.end(),
      /closed the connection/,
      openBudgetMs,
      [5, 12],
    ],
    [
      'an end in the head',
      (_, socket) => void socket.end('HTTP/1.1 2'),
      /closed the connection/,
      openBudgetMs,
      [5, 12],
    ],
    [
      '503 with a Retry-After of a minute',
      (_, socket) => void socket.end(busy(503, { 'Retry-After': 60 })),
      /answered 503 Service Unavailable/,
      openBudgetMs + retryAfterMostMs,
      [2, 3],
    ],
    [
      '503 with a Retry-After of nothing',
      (_, socket) => void socket.end(busy(503, { 'Retry-After': 0 })),
      /answered 503/,
      openBudgetMs,
      [5, 12],
    ],
  ]

for (const [what, handler, cause, most, [fewest, least]] of FOR_GOOD) {
  test(`I4.39, I4.47 ${what} at the start, for good`, async () => {
    await using server = await scriptedServer(handler)
    using time = new SimulatedTime()
    assertFailure(await deploy(server.origin), 'DOWNLOAD', cause, 'untouched')
    assert.ok(time.passed <= most, `${time.passed} ms`)
    const { length } = server.requests
    assert.ok(length >= fewest && length <= least, `${length} requests`)
  })
}

for (const [what, handler, cause] of FOR_GOOD.slice(1, 4)) {
  test(`I4.39, I4.47 ${what} at every resume, for good`, async () => {
    const cut = { how: 'end', at: image.length - 1 } as const
    await using server = await scriptedServer(staged({ resume: handler }, { cut }))
    using time = new SimulatedTime()
    const ended = await deploy(server.origin, { checkSum: rightSum })
    assertFailure(ended, 'DOWNLOAD', cause, 'unbootable')
    assert.ok(
      time.passed > retryBudgetMs - 2 * retryMostMs && time.passed <= retryBudgetMs,
      `${time.passed} ms`,
    )
    assert.ok(server.requests.length < 80, `${server.requests.length} requests`)
  })
}

test('I4.39 connections are refused for good', async () => {
  const server = await scriptedServer(() => undefined)
  await server[Symbol.asyncDispose]()
  using time = new SimulatedTime()
  const ended = await deploy(server.origin)
  assertFailure(ended, 'DOWNLOAD', /refused the connection \(ECONNREFUSED\)/, 'untouched')
  assert.ok(time.pauses.length >= 5 && time.passed <= openBudgetMs)
})
