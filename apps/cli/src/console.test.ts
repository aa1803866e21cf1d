import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type SerialMessage, serialProtocol } from '@byoi/contract'
import { type WebSocket, WebSocketServer } from 'ws'
import { byoi, environment, isSigned, type Ran, type Route, testApi, view } from './api.fixture.ts'
import type { Context } from './context.ts'

const name = 'ns1.example.test'
const path = `/byoi/server/${name}/serial`

interface Console {
  env: Record<string, string>
  /** Queries of the connections that were asked for. */
  queries: string[]
  /** The next connection. */
  next(): Promise<WebSocket>
  /** Answers the next connections with that status instead. */
  refuse: number | null
}

async function serveConsole(t: TestContext, routes: Record<string, Route> = {}): Promise<Console> {
  const api = await testApi(routes)
  const sockets = new WebSocketServer({ noServer: true })
  const waiting: WebSocket[] = []
  let wake = () => {}
  const served: Console = {
    env: environment(api.endpoint),
    queries: [],
    refuse: null,
    next: async () => {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return waiting.shift() as WebSocket
    },
  }
  api.server.on('upgrade', (request, socket, head) => {
    const url = request.url ?? ''
    assert.ok(isSigned(request, `${api.endpoint}${url.replace(/^\/1\.0/, '')}`, ''))
    assert.equal(request.headers['sec-websocket-protocol'], serialProtocol)
    assert.equal(url.replace(/\?.*$/, ''), `/1.0${path}`)
    served.queries.push(url.replace(/^[^?]*/, ''))
    if (served.refuse !== null) {
      const body = JSON.stringify({ message: 'It has none.', errorCode: 'NO_CONSOLE' })
      socket.end(
        `HTTP/1.1 ${served.refuse} Refused\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      )
      return
    }
    sockets.handleUpgrade(request, socket, head, (opened) => {
      waiting.push(opened)
      wake()
    })
  })
  t.after(async () => {
    for (const each of sockets.clients) each.terminate()
    await api.close()
  })
  return served
}

const tell = (socket: WebSocket, ...messages: SerialMessage[]) => {
  for (const message of messages) socket.send(JSON.stringify(message))
}
const hello = { type: 'hello', readonly: false } as const
const isOpen = { type: 'state', state: 'open', message: null } as const

/** Output is kept as it comes; `until` waits for it. */
function sink() {
  const kept = { text: '' }
  const stream = {
    isTTY: true,
    write: (piece: string | Uint8Array) => ((kept.text += Buffer.from(piece as string).toString()), true),
  } as unknown as NodeJS.WriteStream
  const until = async (text: string) => {
    while (!kept.text.includes(text)) await sleep(5)
  }
  return { kept, stream, until }
}

function terminal() {
  const stdin = Object.assign(new PassThrough(), { isTTY: true, isRaw: false, modes: [] as boolean[] })
  const raw = Object.assign(stdin, { setRawMode: (mode: boolean) => (stdin.modes.push(mode), stdin) })
  return raw as typeof raw & Context['stdin']
}

test('without a terminal it prints what is shown, as text, until it is interrupted', async (t) => {
  const api = await serveConsole(t)
  const interrupt = new AbortController()
  const [stdout, stderr] = [sink(), sink()]
  const change = { stdout: stdout.stream, stderr: stderr.stream, interruptible: () => interrupt.signal }
  const running = byoi(['console', name], api.env, change)
  const socket = await api.next()
  tell(socket, hello, isOpen)
  socket.send(Buffer.from('\u001b[31mkernel\u001b[0m 10 %\r20 %\r\n'))
  tell(socket, { type: 'missing', bytes: 77 })
  socket.send(Buffer.from('END'))
  await stdout.until('END')
  interrupt.abort()
  assert.equal((await running).status, 0)
  assert.equal(stdout.kept.text, 'kernel 10 %\n20 %\nEND')
  assert.match(stderr.kept.text, /\[byoi: The console is open\.\]\n\[byoi: 77 bytes are missing here\.\]\n/)
  assert.deepEqual(api.queries, ['?readonly'])
})

test('with --raw it prints the bytes as they are', async (t) => {
  const api = await serveConsole(t)
  const interrupt = new AbortController()
  const stdout = sink()
  const running = byoi(['console', name, '--raw'], api.env, {
    stdout: stdout.stream,
    interruptible: () => interrupt.signal,
  })
  const socket = await api.next()
  socket.send(Buffer.from('\u001b[31mred\r\n'))
  await stdout.until('\n')
  interrupt.abort()
  await running
  assert.equal(stdout.kept.text, '\u001b[31mred\r\n')
})

test('a connection that breaks is taken up where it broke, and nothing is shown twice', async (t) => {
  const api = await serveConsole(t)
  const interrupt = new AbortController()
  const stdout = sink()
  const running = byoi(['console', name], api.env, {
    stdout: stdout.stream,
    interruptible: () => interrupt.signal,
  })
  const first = await api.next()
  first.send(Buffer.from('one '))
  tell(first, { type: 'position', after: 41 })
  await stdout.until('one')
  first.terminate()
  const second = await api.next()
  second.send(Buffer.from('two '))
  tell(second, { type: 'position', after: 42 })
  await stdout.until('two')
  second.close(1001)
  const third = await api.next()
  third.send(Buffer.from('three'))
  await stdout.until('three')
  interrupt.abort()
  const ran = await running
  assert.equal(stdout.kept.text, 'one two three')
  assert.deepEqual(api.queries, ['?readonly', '?readonly&after=41', '?readonly&after=42'])
  assert.match(ran.stderr, /connection is lost/)
})

async function onTerminal(
  t: TestContext,
  args: string[],
  use: (api: Console, stdin: ReturnType<typeof terminal>, stdout: ReturnType<typeof sink>) => Promise<void>,
): Promise<{ ran: Ran; stdin: ReturnType<typeof terminal>; shown: string; queries: string[] }> {
  const api = await serveConsole(t)
  const [stdin, stdout] = [terminal(), sink()]
  const running = byoi(['console', name, ...args], api.env, { stdin, stdout: stdout.stream })
  await use(api, stdin, stdout)
  return { ran: await running, stdin, shown: stdout.kept.text, queries: api.queries }
}

test('on a terminal keys go to the console as they are, and Ctrl-] leaves and restores it', async (t) => {
  const typed: Buffer[] = []
  const { ran, stdin, shown } = await onTerminal(t, [], async (api, stdin, stdout) => {
    const socket = await api.next()
    socket.on('message', (data: Buffer) => typed.push(data))
    tell(socket, hello, isOpen)
    socket.send(Buffer.from('\u001b[?25lmenu'))
    await stdout.until('menu')
    stdin.write('\u0003ls\r')
    while (typed.length === 0) await sleep(5)
    stdin.write('rest\u001dlost')
    await once(socket, 'close')
  })
  assert.equal(ran.status, 0)
  assert.equal(Buffer.concat(typed).toString(), '\u0003ls\rrest')
  assert.deepEqual(stdin.modes, [true, false])
  assert.ok(shown.startsWith('\u001b[?25lmenu') && shown.includes('\u001b[?25h'), JSON.stringify(shown))
  assert.match(ran.stderr, /Ctrl-\] leaves/)
})

test('keys that are typed while the connection is lost are dropped', async (t) => {
  const typed: Buffer[] = []
  await onTerminal(t, [], async (api, stdin, stdout) => {
    const first = await api.next()
    tell(first, hello)
    first.send(Buffer.from('there'))
    await stdout.until('there')
    first.terminate()
    await sleep(50)
    stdin.write('rm -rf /\r')
    const second = await api.next()
    second.on('message', (data: Buffer) => typed.push(data))
    tell(second, hello)
    second.send(Buffer.from('again'))
    await stdout.until('again')
    stdin.write('ok')
    while (typed.length === 0) await sleep(5)
    stdin.write('\u001d')
  })
  assert.equal(Buffer.concat(typed).toString(), 'ok')
})

for (const [args, message] of [
  [['--read-only'], hello],
  [[], { type: 'hello', readonly: true }],
] as const) {
  test(`nothing is typed with ${args.join(' ') || 'a key that may only look'}`, async (t) => {
    let typed = 0
    const { ran, queries } = await onTerminal(t, [...args], async (api, stdin, stdout) => {
      const socket = await api.next()
      socket.on('message', () => (typed += 1))
      tell(socket, message)
      socket.send(Buffer.from('there'))
      await stdout.until('there')
      stdin.write('x')
      await sleep(50)
      stdin.write('\u001d')
    })
    assert.deepEqual([ran.status, typed, queries], [0, 0, [args.length > 0 ? '?readonly' : '']])
    if (args.length === 0) assert.match(ran.stderr, /may look, but not type/)
  })
}

test('a refusal ends it, with what the API says, and the terminal restored', async (t) => {
  const api = await serveConsole(t)
  api.refuse = 409
  const stdin = terminal()
  const ran = await byoi(['console', name], api.env, { stdin, stdout: sink().stream })
  assert.equal(ran.status, 1)
  assert.match(ran.stderr, /error: It has none\.\n$/)
  assert.deepEqual(stdin.modes, [true, false])
})

test('a key that is revoked ends it, and no new connection is tried', async (t) => {
  const { ran, queries } = await onTerminal(t, [], async (api) => {
    const socket = await api.next()
    tell(socket, hello)
    socket.close(1008, 'The key is not valid any more.')
  })
  assert.equal(ran.status, 1)
  assert.match(ran.stderr, /error: The console was closed\.\n {2}The key is not valid any more\.\n/)
  assert.equal(queries.length, 1)
})

test('a control plane that is starting again is waited for', async (t) => {
  const api = await serveConsole(t)
  api.refuse = 503
  const interrupt = new AbortController()
  const running = byoi(['console', name], api.env, { interruptible: () => interrupt.signal })
  while (api.queries.length === 0) await sleep(5)
  api.refuse = null
  tell(await api.next(), hello)
  interrupt.abort()
  assert.equal((await running).status, 0)
})

for (const [args, id, accept] of [
  [['--recorded'], 'd-1', 'text/plain'],
  [['--recorded', 'd-7', '--raw'], 'd-7', 'application/octet-stream'],
] as const) {
  test(`console ${args.join(' ')} prints the recording of ${id}`, async (t) => {
    const seen: unknown[] = []
    const api = await testApi({
      [`GET /byoi/server/${name}/deployment`]: () => view(),
      [`GET /byoi/deployment/${id}/serial`]: (_body, request, response) => {
        seen.push(request.headers.accept)
        response.end('recorded\n')
        return undefined
      },
    })
    t.after(() => api.close())
    const ran = await byoi(['console', name, ...args], environment(api.endpoint))
    assert.deepEqual(ran, { status: 0, stdout: 'recorded\n', stderr: '' })
    assert.deepEqual(seen, [accept])
  })
}

test('--recorded and --read-only exclude each other', async () => {
  assert.equal((await byoi(['console', name, '--recorded', '--read-only'])).status, 2)
})
