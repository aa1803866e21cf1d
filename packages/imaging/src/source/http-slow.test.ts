import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { assertDisk, assertFailure, deploy, firstOf, image, rightSum, staged } from './testing/deploying.ts'
import { failure, KeepingSink, loopback, MIB } from './testing/fetching.ts'
import { fetchLimits } from './fetch-limits.ts'
import { openSource } from './open-source.ts'
import {
  breakOff,
  fileHandler,
  type Handler,
  head,
  scriptedServer,
  writeSlowly,
} from './testing/scripted-server.ts'
import { SimulatedTime } from './testing/simulated-time.ts'

/** All limits are those of production; only the time is simulated. */
const { connectMs, headMs, idleMs, floorBytesPerSecond, floorWindowMs, openBudgetMs, retryBudgetMs } =
  fetchLimits
/** How often a body is looked at. */
const TICK = 1000

const open = (url: string) => openSource({ url, httpHeader: [], policy: loopback, hasCheckSum: true })

/** A head for the part of `file` that is asked for. */
const partHead = (request: Parameters<Handler>[0], file: Buffer): string => {
  const first = firstOf(request)
  const isPart = request.headers.has('range')
  return head(isPart ? 206 : 200, {
    ETag: '"v1"',
    'Content-Length': file.length - first,
    ...(isPart ? { 'Content-Range': `bytes ${first}-${file.length - 1}/${file.length}` } : {}),
  })
}

test('I4.43 connect: a server that never accepts a connection', async () => {
  const script = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
    console.log(this.address().port) })`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line)
  child.kill('SIGSTOP')
  const before = Array.from({ length: 4 }, () =>
    connect({ host: '127.0.0.1', port }).on('error', () => undefined),
  )
  try {
    await once(before[1] ?? child, 'connect') // two fill the queue; the kernel drops the others' first packets
    using time = new SimulatedTime()
    const ended = await time.passWhile(deploy(`http://127.0.0.1:${port}/x`), connectMs)
    assertFailure(ended, 'DOWNLOAD', /did not answer in time \(ETIMEDOUT\)/, 'untouched')
    assert.ok(
      time.passed > openBudgetMs - 30_000 && time.passed < openBudgetMs + connectMs,
      `${time.passed} ms`,
    )
  } finally {
    for (const socket of before) socket.destroy()
    child.kill('SIGKILL')
  }
})

test('I4.43 connect: a server that accepts, but never says a word of TLS', async () => {
  await using server = await scriptedServer(() => undefined)
  using time = new SimulatedTime()
  const ended = await time.passWhile(deploy(server.origin.replace('http', 'https')), connectMs)
  assertFailure(ended, 'DOWNLOAD', /did not answer in time/, 'untouched')
  assert.ok(time.passed < openBudgetMs + connectMs, `${time.passed} ms`)
})

test('I4.43 headers: silence after the request', async () => {
  await using server = await scriptedServer(() => undefined)
  using time = new SimulatedTime()
  const ended = await time.passWhile(deploy(server.origin), headMs)
  assertFailure(ended, 'TIMEOUT', /did not answer a request within 60 s/, 'untouched')
  assert.deepEqual([server.requests.length, time.passed], [1, headMs])
})

test('I4.43 headers: one byte every 5 s', async () => {
  using time = new SimulatedTime()
  await using server = await scriptedServer(async (_, socket) => {
    for (const letter of head(200, { 'X-Long': 'x'.repeat(100) })) {
      await breakOff(socket, Buffer.from(letter), 'silence')
      time.pass(5000)
      if (time.passed > headMs) return
    }
  })
  const ended = await deploy(server.origin)
  assertFailure(ended, 'TIMEOUT', /did not answer a request within 60 s/, 'untouched')
  assert.ok(time.passed <= headMs + 5000, `${time.passed} ms`)
})

for (const [what, at] of [
  ['after the headers', 0],
  ['after 1 MiB', MIB],
  ['at 99 %', Math.floor(image.length * 0.99)],
] as const) {
  test(`I4.43 body: silence ${what}, for good`, async () => {
    using time = new SimulatedTime()
    await using server = await scriptedServer(
      staged({
        whole: async (request, socket) => {
          socket.write(partHead(request, image))
          await breakOff(socket, image.subarray(0, at), 'silence')
          await time.waitsFor(TICK)
          time.pass(idleMs + TICK)
        },
        resume: async (request, socket) => {
          socket.write(partHead(request, image))
          await time.waitsFor(TICK)
          time.pass(idleMs + TICK)
        },
      }),
    )
    const ended = await deploy(server.origin, { checkSum: rightSum })
    assertFailure(ended, 'TIMEOUT', /sent nothing for 60 s/, 'unbootable')
    assert.ok(time.passed < retryBudgetMs + 2 * idleMs, `${time.passed} ms`)
    assert.ok(server.requests.length > 8)
  })
}

test('I4.43 body: silence at 99 %, once', async () => {
  using time = new SimulatedTime()
  await using server = await scriptedServer(
    staged({
      whole: async (request, socket) => {
        socket.write(partHead(request, image))
        await breakOff(socket, image.subarray(0, -30_000), 'silence')
        await time.waitsFor(TICK)
        time.pass(idleMs + TICK)
      },
    }),
  )
  const ended = await deploy(server.origin, { checkSum: rightSum })
  assertDisk(ended, 'complete')
  assert.equal(ended.log.filter((line) => line.includes('sent nothing for 60 s')).length, 1)
})

test('I4.43 body: 1 byte/s', async () => {
  using time = new SimulatedTime()
  const sink = new KeepingSink()
  await using server = await scriptedServer(
    staged({
      whole: (request, socket) => trickle(request, socket),
      resume: (request, socket) => trickle(request, socket),
    }),
  )
  async function trickle(request: Parameters<Handler>[0], socket: Parameters<Handler>[1]): Promise<void> {
    socket.write(partHead(request, image))
    await time.waitsFor(TICK)
    for (let at = firstOf(request); !socket.destroyed && time.passed < 2 * retryBudgetMs; at++) {
      socket.write(image.subarray(at, at + 1))
      await sink.reached(at + 1)
      time.pass(TICK)
      if (time.passed % floorWindowMs < TICK)
        await time.until(() => socket.destroyed || time.counts(TICK) === 1)
    }
  }
  const source = await open(server.origin)
  const error = await failure(source.stream(sink))
  assert.equal(error.code, 'TIMEOUT')
  assert.equal(error.cause, 'The image server sent less than 100 KiB per second for 300 s.')
  assert.match(error.remedy, /faster/)
  assert.ok(time.passed <= retryBudgetMs + floorWindowMs + TICK, `${time.passed} ms`)
  assert.ok(sink.bytes.equals(image.subarray(0, sink.bytes.length)) && sink.bytes.length > 600)
  await source.close()
})

test('I4.43 body: just as fast as the floor is fast enough', async () => {
  const slow = Buffer.alloc((floorBytesPerSecond * (2 * floorWindowMs + 5000)) / 1000, 'slow')
  using time = new SimulatedTime()
  const sink = new KeepingSink(MIB)
  await using server = await scriptedServer(async (request, socket, index) => {
    if (index === 0) return fileHandler(slow)(request, socket, index)
    socket.write(partHead(request, slow))
    await time.waitsFor(TICK)
    for (let at = 0; at < slow.length; at += 5 * floorBytesPerSecond) {
      socket.write(slow.subarray(at, at + 5 * floorBytesPerSecond))
      await sink.reached(at + 5 * floorBytesPerSecond)
      time.pass(5 * TICK)
    }
  })
  const source = await open(server.origin)
  assert.equal(await source.stream(sink), slow.length)
  assert.deepEqual([server.requests.length, time.pauses], [2, []])
  await source.close()
})

test('I4.43 a sink that makes us wait stops the server, and its time counts against nobody', async () => {
  const big = Buffer.alloc(32 * MIB, image.subarray(0, 65_521))
  const sent = { taken: 0 }
  using time = new SimulatedTime()
  await using server = await scriptedServer((request, socket, index) => {
    if (index === 0) return fileHandler(big)(request, socket, index)
    socket.write(partHead(request, big))
    return writeSlowly(socket, big, (bytes) => (sent.taken = bytes))
  })
  const source = await open(server.origin)
  const { promise: room, resolve: makeRoom } = Promise.withResolvers<void>()
  const sink = new KeepingSink(MIB)
  let reserved = 0
  const waiting = {
    commit: (length: number) => sink.commit(length),
    async reserve() {
      if (++reserved === 2) await room
      return sink.reserve()
    },
  }
  const streamed = source.stream(waiting)
  await time.until(() => reserved === 2)
  for (let before = -1; before !== sent.taken || sent.taken === 0; ) {
    before = sent.taken
    await time.rest(200) // until the kernel takes no more
    time.pass(retryBudgetMs)
  }
  assert.ok(sent.taken < 28 * MIB, `${sent.taken} bytes were taken`)
  makeRoom()
  assert.equal(await streamed, big.length)
  assert.ok(sink.bytes.equals(big))
  assert.deepEqual(time.pauses, [])
  await source.close()
})
