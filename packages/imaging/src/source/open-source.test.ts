import assert from 'node:assert/strict'
import { lookup } from 'node:dns/promises'
import { test } from 'node:test'
import { assertFailure, deploy } from './testing/deploying.ts'
import { content, failure, fetchAll, loopback, open } from './testing/fetching.ts'
import { fileHandler, head, scriptedServer } from './testing/scripted-server.ts'

const strict = { ...loopback, allow: [] }

const BAD_URLS: [url: string, why: RegExp][] = [
  ['ftp://example.test/x', /neither http nor https/],
  ['file:///etc/passwd', /neither http nor https/],
  ['gopher://example.test/', /neither/],
  ['data:,x', /neither/],
  ['javascript:1', /neither/],
  ['unix:/run/x.sock', /neither/],
  ['//h/x', /not a valid URL/],
  ['http:///', /not a valid URL/],
  ['http://', /not a valid URL/],
  ['', /not a valid URL/],
  ['http://h:65536/', /not a valid URL/],
  ['http://h:0/', /port 0/],
  ['http://h:22/', /port 22/],
  ['http://user@h/', /user name/],
  ['http://user:secret@h/', /user name/],
  ['http://:secret@h/', /user name/],
  ['http://1.1.1.1&@127.0.0.1#@h/', /user name|fragment/],
  ['http://h/#x', /fragment/],
  ['http://h/#', /fragment/],
  [`http://h/${'x'.repeat(8192)}`, /longer than 8192/],
  [`http://h/?token=${'x'.repeat(70_000)}`, /longer than 8192/],
  ['http://h../', /host name/],
]

for (const [url, why] of BAD_URLS) {
  test(`I3.31, I3.33, I3.38 the URL ${url.slice(0, 40) || '(empty)'} is refused by its text: D0`, async () => {
    const ended = await deploy(url, { file: false }, { addressPolicy: loopback })
    assertFailure(ended, 'DOWNLOAD', why, 'untouched')
    assert.doesNotMatch(`${ended.error?.message}${ended.error?.remedy}`, /secret|token/)
  })
}

test('I3.38 a homograph is an A-label, in the look-up and in the message.', async () => {
  const ended = await deploy('http://ехample.invalid/x', {}, { addressPolicy: loopback }) // Cyrillic е and х
  assertFailure(ended, 'DOWNLOAD', /^The name xn--ample-ywe6i\.invalid could not be resolved/, 'untouched')
})

const LOOPBACK_SPELLINGS = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f.1',
  '0x7f000001',
  '017700000001',
  '0177.0.0.1',
  '①②⑦.0.0.1',
  '127。0。0。1',
  '[::1]',
  '[::ffff:127.0.0.1]',
  '[0:0:0:0:0:ffff:7f00:1]',
  '[64:ff9b::7f00:1]',
  '[2002:7f00:1::]',
  '0',
  '0.0.0.0',
  '[::]',
  'localhost',
  'localhost.',
  'LOCALHOST',
  '127.0.0.1.',
  '%31%32%37.0.0.1',
] // prettier-ignore

for (const host of LOOPBACK_SPELLINGS) {
  test(`I3.32 http://${host}/ is this machine and gets no connection: D0`, async () => {
    await using server = await scriptedServer(fileHandler(content))
    const ended = await deploy(`http://${host}:${server.port}/x`, {}, { addressPolicy: strict })
    assertFailure(ended, 'DOWNLOAD', /loopback|unspecified|tunnel/, 'untouched')
    assert.equal(server.connections, 0)
  })
}

for (const host of [
  '169.254.169.254',
  '[fd00:ec2::254]',
  '[::ffff:169.254.169.254]',
  '2852039166',
  '100.100.100.200',
]) {
  test(`I3.32 http://${host}/ is a metadata service: D0`, async () => {
    const ended = await deploy(`http://${host}/latest/`, {}, { addressPolicy: strict })
    assertFailure(ended, 'DOWNLOAD', /the address of a metadata service/, 'untouched')
  })
}

for (const text of [
  'http:\\\\127.0.0.1:PORT\\x',
  'ht\ntp://127.0\t.0.1:PORT/x',
  'http:127.0.0.1:PORT/x',
  'http://///127.0.0.1:PORT/x',
]) {
  test(`${JSON.stringify(text)} is judged by the host that it is parsed to.`, async () => {
    await using server = await scriptedServer(fileHandler(content))
    const url = text.replace('PORT', String(server.port))
    assert.match((await failure(open(url, { policy: strict }))).cause, /127\.0\.0\.1 is a loopback address/)
    assert.equal(server.connections, 0)
    await (await open(url)).close()
  })
}

test('A name is looked up, and the message says which address of it is denied.', async () => {
  const { address } = await lookup('localhost')
  const error = await failure(open('http://localhost/x', { policy: strict }))
  assert.equal(
    error.cause,
    `localhost is ${address}, which is a loopback address, from which this deployment may not fetch.`,
  )
})

test('Of a name with several addresses only those that are allowed are tried.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const policy = { ...loopback, allow: ['127.0.0.1/32'] } // localhost may be ::1 as well
  assert.ok((await fetchAll(`http://localhost:${server.port}/x`, { policy })).equals(content))
})

test('A name that does not exist is an error at once, without further attempts.', async () => {
  const error = await failure(
    open('http://no-such-host.invalid/x', { limits: { retryBudgetMs: 60_000, retryFirstMs: 60_000 } }),
  )
  assert.equal(error.code, 'DOWNLOAD')
  assert.match(error.cause, /no-such-host\.invalid could not be resolved/)
})

const BAD_HEADERS: [key: string, value: string][] = [
  ['X-A', 's3cret\r\nX-B: 1'],
  ['X-A', 's3cret\n'],
  ['X-A', 's3cret\0'],
  ['X-A', 's3cretⅠ'],
  ['X A', 's3cret'],
  ['X-A:', 's3cret'],
  ['X-A\r\nX-B', 's3cret'],
  ['', 's3cret'],
  ...[
    'Host',
    'RANGE',
    'Content-Length',
    'Transfer-Encoding',
    'Connection',
    'Expect',
    'Accept-Encoding',
    'If-Range',
    'TE',
    'Upgrade',
  ].map((name): [string, string] => [name, 's3cret']),
]

for (const [key, value] of BAD_HEADERS) {
  test(`The header ${JSON.stringify(key)} with value ${JSON.stringify(value)} is refused and its value kept quiet.`, async () => {
    const error = await failure(open('http://127.0.0.1/x', { httpHeader: [{ key, value }] }))
    assert.match(error.cause, /header 1 of httpHeader/)
    assert.doesNotMatch(`${error.message}${error.remedy}`, /s3cret/)
  })
}

test('Headers arrive as they were given, in Latin-1, and the defaults beside them.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const httpHeader = [
    { key: 'Authorization', value: 'Basic déjà' },
    { key: 'user-agent', value: 'mine' },
  ]
  await fetchAll(`${server.origin}/a%20b?q=1`, { httpHeader })
  for (const { text, headers } of server.requests) {
    assert.match(text, /^GET \/a%20b\?q=1 HTTP\/1\.1\r\n/)
    assert.equal(headers.get('authorization'), 'Basic déjà')
    assert.equal(text.match(/user-agent: .*/gi)?.join(), 'user-agent: mine')
    assert.equal(headers.get('accept-encoding'), 'identity')
    assert.equal(headers.get('host'), `127.0.0.1:${server.port}`)
  }
})

const secrets = [
  { key: 'Authorization', value: 'Bearer s3cret' },
  { key: 'X-Api-Key', value: 's3cret' },
]
const to = (location: string, status = 302) => head(status, { Location: location, 'Content-Length': 0 })

for (const status of [301, 302, 303, 307, 308]) {
  test(`A redirect ${status} to another origin is followed, without the customer's headers.`, async () => {
    await using other = await scriptedServer(fileHandler(content))
    await using server = await scriptedServer(
      (_, socket) => void socket.write(to(`${other.origin}/there`, status)),
    )
    assert.ok((await fetchAll(`${server.origin}/here`, { httpHeader: secrets })).equals(content))
    assert.ok(server.requests.every(({ headers }) => headers.get('authorization') === 'Bearer s3cret'))
    assert.ok(other.requests.length > 0 && other.requests.every(({ text }) => !text.includes('s3cret')))
  })
}

test('A redirect within the origin keeps the headers; after one elsewhere and back they stay away.', async () => {
  await using other = await scriptedServer((_, socket) => void socket.write(to(`${server.origin}/back`)))
  await using server = await scriptedServer((request, socket, index) => {
    if (request.path === '/here') return void socket.write(to('within'))
    if (request.path === '/within') return void socket.write(to(`${other.origin}/elsewhere`))
    return fileHandler(content)(request, socket, index)
  })
  await fetchAll(`${server.origin}/here`, { httpHeader: secrets })
  const sent = (path: string) =>
    server.requests.filter((request) => request.path === path).map(({ text }) => text.includes('s3cret'))
  assert.deepEqual(
    [sent('/here'), sent('/within'), sent('/back')],
    [
      [true, true],
      [true, true],
      [false, false],
    ],
  )
  assert.ok(other.requests.every(({ text }) => !text.includes('s3cret')))
})

test('Five redirects are followed.', async () => {
  await using server = await scriptedServer((request, socket, index) => {
    const hop = Number(request.path.slice(1))
    return hop < 5 ? void socket.write(to(`/${hop + 1}`)) : fileHandler(content)(request, socket, index)
  })
  assert.ok((await fetchAll(`${server.origin}/0`)).equals(content))
})

test('The URL is shown without its query.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const source = await open(`${server.origin}/img?sig=s3cret`)
  assert.equal(source.shownUrl, `${server.origin}/img?***`)
  await source.close()
})
