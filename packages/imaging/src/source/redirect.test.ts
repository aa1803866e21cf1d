import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  assertDisk,
  assertFailure,
  deploy,
  image,
  rightSum,
  type Stage,
  staged,
  stageOf,
} from './testing/deploying.ts'
import { fileHandler, type Handler, head, scriptedServer } from './testing/scripted-server.ts'

/** Of this machine's addresses only 127.0.0.1; 127.0.0.2 is denied as any loopback address is. */
const addressPolicy = { allow: ['127.0.0.1/32'], deny: [], allowPrivate: false, denyPorts: [22] }
const httpHeader = [
  { key: 'Authorization', value: 'Bearer s3cret' },
  { key: 'X-Api-Key', value: 's3cret' },
]
const to =
  (location: string, status = 302): Handler =>
  (_, socket) =>
    void socket.end(head(status, { Location: location, 'Content-Length': 0 }))

/** `PORT`: of a server on 127.0.0.2 that must see nothing. */
const BAD: [what: string, answer: (port: number) => Handler, cause: RegExp][] = [
  ...['127.0.0.2', '127.2', '0x7f.0.0.2', '2130706434', '017700000002', '[::ffff:127.0.0.2]'].map(
    (host): (typeof BAD)[number] => [
      `a denied address, ${host}`,
      (port) => (_, socket) =>
        void socket.end(
          Buffer.from(head(302, { Location: `http://${host}:${port}/x`, 'Content-Length': 0 })),
        ),
      /is a loopback address/,
    ],
  ),
  ['the metadata service', () => to('http://169.254.169.254/latest/meta-data/'), /metadata service/],
  ['a private address', () => to('http://10.0.0.1/'), /private address/],
  ['a relative URL that changes the host', (port) => to(`//127.0.0.2:${port}/x`), /is a loopback address/],
  ['a backslash URL', (port) => to(`http:\\\\127.0.0.2:${port}\\x`), /is a loopback address/],
  ['file:', () => to('file:///etc/passwd'), /neither http nor https/],
  ['gopher:', () => to('gopher://127.0.0.1/'), /neither http nor https/],
  ['data:', () => to('data:,x'), /neither http nor https/],
  ['javascript:', () => to('javascript:1'), /neither http nor https/],
  ['a denied port', () => to('http://127.0.0.1:22/'), /port 22/],
  ['port 0', () => to('http://127.0.0.1:0/'), /port 0/],
  ['a URL with user-info', (port) => to(`http://u:s3cret@127.0.0.2:${port}/`), /user name/],
  ['a URL of 70 kB', () => to(`/${'x'.repeat(60_000)}`), /longer than 8192 bytes/],
  ['itself, without end', () => to('?again'), /more than 5 times/],
  [
    'a sixth place',
    () => (request, socket) =>
      void socket.end(head(302, { Location: `/${Number(request.path.slice(1)) + 1}`, 'Content-Length': 0 })),
    /more than 5 times/,
  ],
  [
    'nowhere',
    () => (_, socket) => void socket.end(head(302, { 'Content-Length': 0 })),
    /without saying where/,
  ],
  ['an empty place', () => to(''), /without saying where/],
  ['a choice (300)', () => to('/x', 300), /300 Multiple Choices/],
  ['what has not been modified (304)', () => to('/x', 304), /304 Not Modified/],
  ['a proxy (305)', () => to('/x', 305), /305 Use Proxy/],
  ['another place by 306', () => to('/x', 306), /answered 306/],
] // prettier-ignore

async function assertRefused(answer: (port: number) => Handler, cause: RegExp, stage: Stage): Promise<void> {
  await using hidden = await scriptedServer(fileHandler(image), undefined, '127.0.0.2')
  const cut = stage === 'resume' ? { cut: { how: 'end', at: 1_000_000 } as const } : {}
  const handler = answer(hidden.port)
  // Where it leads to a place of the same server, that answers in the same way.
  let isFrom = false
  const serve = staged({}, cut)
  await using server = await scriptedServer((request, socket, index) => {
    isFrom ||= stageOf(request) === stage
    return (isFrom ? handler : serve)(request, socket, index)
  })
  const ended = await deploy(`${server.origin}/0`, { httpHeader }, { addressPolicy })
  assertFailure(ended, 'DOWNLOAD', cause, stage === 'open' ? 'untouched' : 'unbootable')
  assert.deepEqual([hidden.connections, hidden.requests.length], [0, 0])
  assert.ok(server.requests.length <= 11, `${server.requests.length} requests`)
}

for (const [what, answer, cause] of BAD) {
  test(`I3.35 a redirect to ${what}: DOWNLOAD, D0, nobody else asked`, () =>
    assertRefused(answer, cause, 'open'))
}

const ON_RESUME = /denied address, 127\.0\.0\.2|file:|without end|nowhere|choice/
for (const [what, answer, cause] of BAD.filter(([what]) => ON_RESUME.test(what))) {
  test(`I3.36 a redirect of the resume only, to ${what}: DOWNLOAD, D1, nobody else asked`, () =>
    assertRefused(answer, cause, 'resume'))
}

for (const stage of ['open', 'look', 'whole', 'resume'] as const) {
  test(`I3.35, I3.36 a redirect of '${stage}' to another origin: followed, which never sees the headers`, async () => {
    await using other = await scriptedServer(fileHandler(image))
    const cut = stage === 'resume' ? { cut: { how: 'end', at: 1_000_000 } as const } : {}
    await using server = await scriptedServer(staged({ [stage]: to(`${other.origin}/there`) }, cut))
    const ended = await deploy(`${server.origin}/here`, { httpHeader, checkSum: rightSum }, { addressPolicy })
    assertDisk(ended, 'complete')
    assert.ok(other.requests.length >= 1)
    for (const { text } of other.requests)
      assert.doesNotMatch(text, /s3cret|authorization|x-api-key|referer|cookie/i)
    for (const { headers } of server.requests) assert.equal(headers.get('x-api-key'), 's3cret')
    const part = other.requests.at(-1)?.headers.get('range')
    if (stage === 'resume') assert.equal(part, 'bytes=1000000-')
  })
}
