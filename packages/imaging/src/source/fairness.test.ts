import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { image } from './testing/deploying.ts'
import { fetchAll, KeepingSink } from './testing/fetching.ts'
import { type Handler, head, scriptedServer } from './testing/scripted-server.ts'

const CLIENTS = 100
/** Of each client; all together 12.5 MiB. */
const FILE = image.subarray(0, 128 * 1024)
const RATE = 10 * 1024 * 1024
const TURN = 8 * 1024

/** Sends each its share in turn, `RATE` bytes per second in all, as a server with one slow line does. */
function slowLine(): { send: (socket: Socket) => Promise<void>; stop: () => void } {
  const queue: { socket: Socket; at: number; done: () => void }[] = []
  const perTick = (RATE * 10) / 1000
  let credit = 0
  const timer = setInterval(() => {
    for (credit += perTick; credit >= TURN && queue.length > 0; credit -= TURN) {
      const next = queue.shift() as (typeof queue)[number]
      next.socket.write(FILE.subarray(next.at, next.at + TURN))
      next.at += TURN
      if (next.at < FILE.length) queue.push(next)
      else next.done()
    }
    credit = Math.min(credit, perTick)
  }, 10)
  return {
    send: (socket) => new Promise<void>((done) => queue.push({ socket, at: 0, done })),
    stop: () => clearInterval(timer),
  }
}

const whole: Handler = (_, socket) =>
  void socket.write(head(200, { ETag: '"v1"', 'Content-Length': FILE.length }))

test('I4.50 100 fetches at once from a server of 10 MiB/s: all arrive at one pace, and a heartbeat beats on', async () => {
  const line = slowLine()
  const { promise: allAsked, resolve: begin } = Promise.withResolvers<void>()
  let asked = 0
  await using server = await scriptedServer(async (request, socket, index) => {
    if (request.headers.has('range')) return first(socket)
    if (++asked === CLIENTS) begin()
    await allAsked
    void whole(request, socket, index)
    return line.send(socket)
  })
  const sinks = Array.from({ length: CLIENTS }, () => new KeepingSink())
  const received = (): number[] => sinks.map(({ bytes }) => bytes.length)
  const heart = heartbeat()
  try {
    const limits = { idleMs: 60_000, headMs: 60_000, connectMs: 60_000 }
    const all = sinks.map((sink) => fetchAll(server.origin, { limits }, sink))
    await Promise.race(all)
    const least = Math.min(...received())
    assert.ok(least > FILE.length / 2, `one was done, while another had ${least} bytes of ${FILE.length}`)
    for (const bytes of await Promise.all(all)) assert.ok(bytes.equals(FILE))
    assert.equal(server.requests.length, 2 * CLIENTS, 'somebody had to ask again')
    assert.ok(heart.longest() < 300, `no beat during ${heart.longest()} ms of work`)
  } finally {
    heart.stop()
    line.stop()
  }
})

/** Beats every 50 ms. The longest time between two beats is told in CPU time, so that a busy machine does not matter. */
function heartbeat(): { longest: () => number; stop: () => void } {
  let last = process.cpuUsage()
  let longest = 0
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(last)
    longest = Math.max(longest, (user + system) / 1000)
    last = process.cpuUsage()
  }, 50)
  return { longest: () => longest, stop: () => clearInterval(timer) }
}

const first = (socket: Socket): void => {
  const fields = { ETag: '"v1"', 'Content-Range': `bytes 0-0/${FILE.length}`, 'Content-Length': 1 }
  socket.write(Buffer.concat([Buffer.from(head(206, fields)), FILE.subarray(0, 1)]))
}

test('I4.50 100 fetches at once from a server that serves 10 and sends 429 to the others: all arrive, without a storm', async () => {
  let running = 0
  await using server = await scriptedServer(async (request, socket, index) => {
    if (request.headers.has('range')) return first(socket)
    if (running === 10) return void socket.end(head(429, { 'Retry-After': 1, 'Content-Length': 0 }))
    running++
    void whole(request, socket, index)
    await sleep(20)
    socket.end(FILE)
    running--
  })
  const limits = { retryBudgetMs: 60_000, retryFirstMs: 500, retryMostMs: 2000, retryAfterMostMs: 60_000 }
  const fetched = Array.from({ length: CLIENTS }, () => fetchAll(server.origin, { limits }))
  for (const bytes of await Promise.all(fetched)) assert.equal(bytes.length, FILE.length)
  assert.ok(server.requests.length < 8 * CLIENTS, `${server.requests.length} requests`)
})
