import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pino } from 'pino'
import { eventually } from '../control-plane.fixture.ts'
import { fileReply } from './file-reply.ts'
import { createProvisioningServer, defaultLimits, type ProvisioningLimits } from './provisioning-server.ts'
import { readPatched } from './patched-file.ts'
import { type ProvisioningRoute, reading } from './route.ts'

const size = 32 * 1024 * 1024
const directory = await mkdtemp(join(tmpdir(), 'byoi-provisioning-'))
const path = join(directory, 'large')
before(async () => await writeFile(path, Buffer.alloc(size, 'x')))
after(async () => await rm(directory, { recursive: true }))

/** Files that are open for an answer. */
const files = { open: 0 }
const large: ProvisioningRoute = {
  name: 'large',
  methods: reading,
  path: /^\/large$/,
  answer: async (request) => {
    const file = await open(path)
    files.open += 1
    const reply = fileReply(request, { file, size, modified: new Date(0) }, { etag: '"x"', type: 'x/y' })
    return {
      ...reply,
      close: async () => {
        files.open -= 1
        await reply.close?.()
      },
    }
  },
}

let asked = 0
const nothing: ProvisioningRoute = {
  name: 'nothing',
  methods: reading,
  path: /^\/nothing$/,
  answer: async () => {
    asked += 1
    return null
  },
}

async function start(
  t: { after(fn: () => unknown): void },
  limits: Partial<ProvisioningLimits>,
): Promise<number> {
  const logger = pino({ level: 'silent' })
  const server: Server = createProvisioningServer([large, nothing], logger, { ...defaultLimits, ...limits })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as { port: number }).port
}

const dial = async (port: number): Promise<Socket> => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

const ended = async (socket: Socket) => await once(socket, 'close')

describe('the provisioning listener cuts off', () => {
  test('who does not finish the head of a request', async (t) => {
    const port = await start(t, { headTimeoutMs: 100 })
    const socket = await dial(port)
    socket.write('GET /large HTTP/1.1\r\nX-A: b\r\n')
    socket.resume()
    await ended(socket)
  })

  test('who says nothing', async (t) => {
    const port = await start(t, { idleTimeoutMs: 100 })
    const socket = await dial(port)
    socket.resume()
    await ended(socket)
  })

  test('who takes no byte of an answer, and closes its file', async (t) => {
    const port = await start(t, { idleTimeoutMs: 200 })
    const socket = await dial(port)
    socket.pause()
    socket.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
    await untilFiles(1)
    await untilFiles(0)
    socket.destroy()
  })

  test('who takes the bytes one by one', async (t) => {
    const port = await start(t, { answerTimeoutMs: 400 })
    const socket = await dial(port)
    socket.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
    socket.pause()
    await untilFiles(1)
    await eventually('the end', async () => {
      socket.read(1)
      return files.open === 0
    })
    socket.destroy()
  })

  test('who sends more of a head than belongs there', async (t) => {
    const port = await start(t, {})
    const socket = await dial(port)
    socket.write(`GET /large HTTP/1.1\r\nX-A: ${'b'.repeat(20_000)}\r\n\r\n`)
    socket.resume()
    await ended(socket)
  })

  test('whoever comes when there are too many', async (t) => {
    const port = await start(t, { connections: 1 })
    const first = await dial(port)
    const second = await dial(port)
    second.resume()
    await ended(second)
    assert.equal(first.destroyed, false)
    first.destroy()
  })
})

const untilFiles = async (count: number) =>
  await eventually(`${count} open files`, async () => files.open === count)

test('who asks on and on for what is not there is not looked for any more, others are', async (t) => {
  const port = await start(t, { misses: { perSecond: 0.001, burst: 3 } })
  asked = 0
  const statuses = []
  for (let times = 0; times < 6; times++)
    statuses.push((await fetch(`http://127.0.0.1:${port}/nothing`)).status)
  assert.deepEqual(statuses, [404, 404, 404, 404, 404, 404])
  assert.equal(asked, 3)
  assert.equal((await fetch(`http://127.0.0.1:${port}/large`)).status, 404)
  const other = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' })
  other.write('GET /nothing HTTP/1.0\r\n\r\n')
  other.resume()
  await ended(other)
  assert.equal(asked, 4)
})

test('many readers at once of a large file need no memory for it', async (t) => {
  const port = await start(t, {})
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let most = before
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 5)
  const read = async (): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}/large`)
    let bytes = 0
    for await (const chunk of answer.body ?? []) bytes += (chunk as Uint8Array).length
    return bytes
  }
  const lengths = await Promise.all(Array.from({ length: 16 }, read))
  clearInterval(timer)
  assert.ok(lengths.every((length) => length === size))
  assert.ok(most - before < 200 * 1024 * 1024, `${most - before} bytes more for 512 MiB`)
})

describe('a patched file', () => {
  const patch = { offset: 300_000, bytes: Buffer.from('0123456789') }
  const ranges: [number, number][] = [
    [0, 400_000],
    [300_000, 300_010],
    [299_999, 300_001],
    [300_009, 300_011],
    [300_003, 300_004],
    [300_010, 300_020],
    [0, 300_000],
    [262_140, 524_290],
  ]
  for (const [start, end] of ranges) {
    test(`reads ${start} to ${end} with the patch in its place`, async () => {
      const file = await open(path)
      try {
        const pieces = []
        for await (const piece of readPatched(file, { start, end }, [patch])) pieces.push(piece)
        const whole = Buffer.alloc(600_000, 'x')
        patch.bytes.copy(whole, patch.offset)
        assert.ok(Buffer.concat(pieces).equals(whole.subarray(start, end)))
      } finally {
        await file.close()
      }
    })
  }

  test('that is too short is an error, not zeros', async () => {
    const file = await open(path)
    try {
      await assert.rejects(async () => {
        for await (const piece of readPatched(file, { start: size - 1, end: size + 1 }, [])) assert.ok(piece)
      }, /ends before its end/)
    } finally {
      await file.close()
    }
  })
})
