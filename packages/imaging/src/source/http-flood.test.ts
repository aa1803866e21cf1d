import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { assertFailure, deploy, image, rightSum, staged } from './testing/deploying.ts'
import { MIB } from './testing/fetching.ts'
import { type Handler, head, scriptedServer } from './testing/scripted-server.ts'

const says =
  (text: string): Handler =>
  (_, socket) =>
    void socket.write(text, 'latin1')
/** 200 with these lines. */
const ok = (...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`

/** Writes `piece` until the other side has gone; tells how much the kernel took. */
async function flood(socket: Socket, start: string, piece: string): Promise<number> {
  const bytes = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)), 'latin1')
  socket.write(start, 'latin1')
  while (!socket.destroyed) {
    await new Promise<void>((resolve) => {
      socket.once('close', resolve)
      socket.write(bytes, () => {
        socket.off('close', resolve)
        resolve()
      })
    })
  }
  return socket.bytesWritten
}

const chunks = head(200, { ETag: '"v1"', 'Transfer-Encoding': 'chunked' })
const FLOODS: [what: string, start: string, piece: string, cause: RegExp][] = [
  ['early hints (103)', '', 'HTTP/1.1 103 Early Hints\r\n\r\n', /more than 16 interim answers/],
  [
    'early hints with links',
    '',
    `HTTP/1.1 103 Early Hints\r\nLink: <${'x'.repeat(60_000)}>\r\n\r\n`,
    /more than 16 interim answers/,
  ],
  ['one header', 'HTTP/1.1 200 OK\r\nA: ', 'x', /head is longer than 65536 bytes/],
  ['headers', 'HTTP/1.1 200 OK\r\n', 'A: b\r\n', /head is longer than 65536 bytes/],
  ['a reason phrase', 'HTTP/1.1 200 ', 'x', /head is longer than 65536 bytes/],
  ['a body after 404', head(404, { 'Content-Length': 2 ** 50 }), 'x', /answered 404/],
  [
    'a body after a redirect nowhere',
    head(302, { 'Content-Length': 2 ** 50 }),
    'x',
    /without saying where to/,
  ],
] // prettier-ignore
const BODIES: typeof FLOODS = [
  ['an extension of a chunk', `${chunks}5;`, 'x', /what stands between two chunks is too long/],
  ['trailers', `${chunks}0\r\n`, 'A: b\r\n', /trailers are too long|fewer bytes/],
]

/** What this thread holds, in bytes; the bodies that the test itself sends are in it once. */
const held = (): number => {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

for (const [stage, floods] of [
  ['open', FLOODS],
  ['resume', FLOODS],
  ['whole', BODIES],
] as const) {
  for (const [what, start, piece, cause] of floods) {
    test(`I4.48 ${what} without end, as the answer to '${stage}': refused, memory flat`, async () => {
      let taken = 0
      const { promise: gone, resolve } = Promise.withResolvers<void>()
      const answer: Handler = async (_, socket) => {
        taken = await flood(socket, start, piece)
        resolve()
      }
      const cut = stage === 'resume' ? { cut: { how: 'end', at: image.length - 1 } as const } : {}
      await using server = await scriptedServer(staged({ [stage]: answer }, cut))
      const before = held()
      const ended = await deploy(server.origin, { checkSum: rightSum })
      assert.ok(held() - before < 40 * MIB, `${held() - before} bytes`)
      assertFailure(ended, 'DOWNLOAD', cause, stage === 'open' ? 'untouched' : 'unbootable')
      await gone
      assert.ok(taken < 32 * MIB, `${taken} bytes were taken`) // mostly by the kernel
    })
  }
}

test('I4.48 10,000 headers, and 201 short ones: refused by their number', async () => {
  for (const count of [201, 10_000]) {
    await using server = await scriptedServer(says(ok(...Array<string>(count).fill('A: b'))))
    assertFailure(await deploy(server.origin), 'DOWNLOAD', /more than 200 header fields/, 'untouched')
  }
})

test('I4.48 a header of 1 MiB: refused', async () => {
  await using server = await scriptedServer(says(ok(`A: ${'x'.repeat(MIB)}`, 'Content-Length: 5000')))
  assertFailure(await deploy(server.origin), 'DOWNLOAD', /head is longer than 65536 bytes/, 'untouched')
})

test('I4.48 a hundred thousand early hints before a good answer: refused', async () => {
  await using server = await scriptedServer((request, socket, index) => {
    socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100_000))
    return staged({})(request, socket, index)
  })
  assertFailure(await deploy(server.origin), 'DOWNLOAD', /interim answers/, 'untouched')
})
