import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { BadParameter } from './bad-parameter.ts'
import { parseByoiRequest } from './byoi-request.ts'
import { type ByoiRequest } from './byoi-request.types.ts'
import { type JsonObject, parseStrictJson } from './strict-json.ts'

const good = { URL: 'https://images.example.test/a.qcow2', type: 'qcow2' }
const sha256 = 'a'.repeat(64)
const sshKey = `ssh-ed25519 ${Buffer.concat([
  Buffer.from([0, 0, 0, 11]),
  Buffer.from('ssh-ed25519'),
  Buffer.from([0, 0, 0, 32]),
  Buffer.alloc(32, 1),
]).toString('base64')}`
const canary = 'canary-4711'

/** As over the wire: the parser's values have no prototype. */
const parse = (body: unknown): ByoiRequest =>
  parseByoiRequest(parseStrictJson(Buffer.from(JSON.stringify(body) ?? 'null')))
const withDrive = (configdrive: unknown) => ({ ...good, configdrive })
const header = (key: unknown, value: unknown) => ({ ...good, httpHeader: [{ key, value }] })
const metadata = (...userMetadatas: unknown[]) => withDrive({ userMetadatas })

test('a whole request is normalised and shows no secret', () => {
  const request = parse({
    URL: 'HTTPS://Images.Example.test./a.qcow2?token=canary-4711',
    type: 'raw',
    checkSum: 'A'.repeat(64),
    checkSumType: 'sha256',
    description: 'golden\nimage',
    diskGroupId: 2,
    httpHeader: [{ key: 'Authorization', value: `Bearer ${canary}` }],
    configdrive: {
      enable: true,
      hostname: 'node-1.example.test',
      sshKey: `${sshKey} me@laptop\n`,
      userData: `#cloud-config\r\n# ${canary}\n`,
      userMetadatas: [{ key: 'role', value: canary }],
    },
  })
  assert.equal(request.url.reveal(), 'https://images.example.test/a.qcow2?token=canary-4711')
  assert.equal(request.shownUrl, 'https://images.example.test/a.qcow2?***')
  assert.deepEqual(request.checkSum, { type: 'sha256', value: sha256 })
  assert.equal(request.diskGroupId, 2)
  assert.equal(request.httpHeader[0]?.value.reveal(), `Bearer ${canary}`)
  assert.equal(request.configDrive?.sshKey, `${sshKey} me@laptop`)
  assert.equal(request.configDrive?.userData?.reveal(), `#cloud-config\r\n# ${canary}\n`)
  assert.equal(request.configDrive?.userMetadatas[0]?.value.reveal(), canary)
  assert.ok(!inspect(request, { depth: 9 }).includes(canary))
  assert.ok(!JSON.stringify(request).includes(canary))
})

test('the shortest request asks for nothing more', () => {
  const { checkSum, description, diskGroupId, httpHeader, configDrive } = parse(good)
  assert.deepEqual(
    [checkSum, description, diskGroupId, httpHeader, configDrive],
    [null, null, null, [], null],
  )
})

test('the flat form of 2020 means the same as the nested one', () => {
  const members = { hostname: 'node-1', sshKey, userData: 'x', userMetadatas: [{ key: 'a', value: 'b' }] }
  const flat = parse({ ...good, ...members }).configDrive
  const nested = parse(withDrive({ enable: true, ...members })).configDrive
  assert.deepEqual(inspect(flat), inspect(nested))
  assert.equal(flat?.userData?.reveal(), 'x')
})

const drives: [name: string, configdrive: unknown, asked: boolean][] = [
  ['enable true alone', { enable: true }, true],
  ['enable false alone', { enable: false }, false],
  ['enable false with other members', { enable: false, hostname: 'a' }, false],
  ['an empty object', {}, false],
  ['a hostname alone', { hostname: 'a' }, true],
  ['enable null and a hostname', { enable: null, hostname: 'a' }, true],
  [
    'every member null',
    { enable: null, hostname: null, sshKey: null, userData: null, userMetadatas: null },
    false,
  ],
]
for (const [name, configdrive, asked] of drives) {
  test(`configdrive with ${name} ${asked ? 'asks' : 'does not ask'} for a drive`, () => {
    assert.equal(parse(withDrive(configdrive)).configDrive !== null, asked)
  })
}

const catalogue: [name: string, body: unknown, message: string, code: string][] = [
  ...['QCOW2', 'vmdk', 'iso', '', 'toString', 'OVA', '__proto__'].map(
    (type): [string, unknown, string, string] => [
      `type ${type}`,
      { ...good, type },
      'Bad format image, expected: qcow2, raw.',
      'FORMAT',
    ],
  ),
  ...['crc32', 'SHA256', 'sha256 ', '__proto__', ['sha256'], null, 5].map(
    (checkSumType): [string, unknown, string, string] => [
      `checkSumType ${JSON.stringify(checkSumType)}`,
      { ...good, checkSum: sha256, checkSumType },
      'Bad checkSumType, expected: sha1, sha256, md5.',
      'SUMTYPE',
    ],
  ),
  [
    'a sum without type',
    { ...good, checkSum: sha256 },
    'Please provide checkSum AND checkSumType or none of them',
    'BAD_PARAMETERS',
  ],
  [
    'a type without sum',
    { ...good, checkSumType: 'md5' },
    'Please provide checkSum AND checkSumType or none of them',
    'BAD_PARAMETERS',
  ],
  [
    'an unknown member',
    { ...good, url: 'x' },
    'Received not described parameters: (url) while calling POST/bringYourOwnImage',
    'BAD_PARAMETERS',
  ],
  [
    'an unknown member inside',
    withDrive({ Enable: true }),
    'Received not described parameters: (configdrive.Enable) while calling POST/bringYourOwnImage',
    'BAD_PARAMETERS',
  ],
  [
    'a member with an odd name',
    { ...good, 'a\r\nb': 1 },
    'Received not described parameters: (?) while calling POST/bringYourOwnImage',
    'BAD_PARAMETERS',
  ],
  ['no URL', { type: 'raw' }, 'Missing mandatory body parameter: URL', 'BAD_PARAMETERS'],
  ['no type', { URL: good.URL }, 'Missing mandatory body parameter: type', 'BAD_PARAMETERS'],
]
for (const [name, body, message, code] of catalogue) {
  test(`${name} is refused with the catalogue's sentence`, () => {
    assert.throws(
      () => parse(body),
      (error: unknown) => error instanceof BadParameter && error.message === message && error.code === code,
    )
  })
}

const wrongTypes = [null, 5, ['x'], { x: canary }, true]
const fields: [field: string, put: (value: unknown) => unknown, legal: unknown[]][] = [
  ['URL', (URL) => ({ ...good, URL }), []],
  ['type', (type) => ({ ...good, type }), []],
  ['checkSum', (checkSum) => ({ ...good, checkSumType: 'sha256', checkSum }), []],
  ['description', (description) => ({ ...good, description }), []],
  ['diskGroupId', (diskGroupId) => ({ ...good, diskGroupId }), [5]],
  ['httpHeader', (httpHeader) => ({ ...good, httpHeader }), []],
  ['configdrive', withDrive, []],
  ['configdrive.enable', (enable) => withDrive({ enable }), [null, true]],
  ['configdrive.hostname', (hostname) => withDrive({ hostname }), [null]],
  ['configdrive.sshKey', (value) => withDrive({ sshKey: value }), [null]],
  ['configdrive.userData', (userData) => withDrive({ userData }), [null]],
  ['configdrive.userMetadatas', (userMetadatas) => withDrive({ userMetadatas }), [null]],
]
for (const [field, put, legal] of fields) {
  test(`a wrong type of ${field} is refused by its name, its value not repeated`, () => {
    for (const value of [...wrongTypes, { __proto__: null, toString: 'x' }, canary.repeat(9000)]) {
      if (legal.includes(value) || (field === 'configdrive.userData' && value === undefined)) continue
      if (typeof value === 'string' && field.endsWith('userData')) {
        assertRefused(() => parse(put(value)), field)
        continue
      }
      assertRefused(() => parse(put(value)), field)
    }
  })
}

function assertRefused(run: () => unknown, field: string): void {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof BadParameter, inspect(error))
    const said = `${error.message} ${error.reason} ${error.remedy}`
    assert.ok(error.field.startsWith(field) || said.includes(`(${field}`), `${field}: ${said}`)
    assert.ok(!said.includes(canary), said)
    return true
  })
}

const host = (hostname: string) => withDrive({ hostname })
const bytes = (count: number) => 'x'.repeat(count)
const many = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: 'v' }))
const refused: [field: string, name: string, body: unknown][] = [
  ['checkSum', 'of another length', { ...good, checkSum: 'aa', checkSumType: 'sha256' }],
  ['checkSum', 'of sha1 length for md5', { ...good, checkSum: 'a'.repeat(40), checkSumType: 'md5' }],
  [
    'checkSum',
    'with a letter that is no digit',
    { ...good, checkSum: `${sha256.slice(1)}g`, checkSumType: 'sha256' },
  ],
  ['checkSum', 'with a blank', { ...good, checkSum: ` ${sha256.slice(1)}`, checkSumType: 'sha256' }],
  ['checkSum', 'with a line end', { ...good, checkSum: `${sha256}\n`, checkSumType: 'sha256' }],
  ...[0, -1, 1.5, '1', 2 ** 31, 2 ** 53 + 1, '/dev/sda'].map((diskGroupId): [string, string, unknown] => [
    'diskGroupId',
    inspect(diskGroupId),
    { ...good, diskGroupId },
  ]),
  ['description', 'with NUL', { ...good, description: 'a\0b' }],
  ['description', 'of 1025 bytes', { ...good, description: bytes(1025) }],
  ...[
    'Host',
    'content-length',
    'Transfer-Encoding',
    'Range',
    'Connection',
    'Expect',
    'Accept-Encoding',
    'Proxy-Authorization',
    'If-Range',
    'TE',
    '',
    'a b',
    'a:b',
    'a\r\nb',
    'é',
    bytes(300),
  ].map((key): [string, string, unknown] => [
    'httpHeader.0.key',
    inspect(key.slice(0, 20)),
    header(key, 'v'),
  ]),
  ...['a\r\nX-Evil: 1', 'a\nb', 'a\0b', ' a', 'a ', '\ta', '\u0100', '漢', bytes(70_000), 'a\u007f'].map(
    (value): [string, string, unknown] => [
      'httpHeader.0.value',
      inspect(value.slice(0, 20)),
      header('X-A', value),
    ],
  ),
  ['httpHeader', '500 entries', { ...good, httpHeader: many(500) }],
  [
    'httpHeader.1.key',
    'two names differing in case',
    {
      ...good,
      httpHeader: [
        { key: 'X-A', value: '1' },
        { key: 'x-a', value: '2' },
      ],
    },
  ],
  ['httpHeader.0', 'a value that is null', header('X-A', null)],
  ['httpHeader', 'a member too many', { ...good, httpHeader: [{ key: 'a', value: 'b', x: 1 }] }],
  ...[
    '-a',
    'a-',
    'a_b',
    'a..b',
    '.a',
    'a.',
    bytes(64),
    `${`${bytes(60)}.`.repeat(4)}${bytes(60)}`,
    '',
    ' ',
    'a b',
    'a\r\nlocal-hostname: evil',
    '$(id)',
    '../x',
    'a\u202eb',
    'zoë',
    '1.2.3.4',
    '123',
    '::1',
    'a\0',
  ].map((hostname): [string, string, unknown] => [
    'configdrive.hostname',
    inspect(hostname.slice(0, 30)),
    host(hostname),
  ]),
  [
    'configdrive.sshKey',
    'a private key',
    withDrive({
      sshKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${canary}\n-----END OPENSSH PRIVATE KEY-----\n`,
    }),
  ],
  ['configdrive.sshKey', '20 kB', withDrive({ sshKey: `${sshKey} ${bytes(20_000)}` })],
  ['configdrive.sshKey', 'two lines', withDrive({ sshKey: `${sshKey}\n${sshKey}` })],
  ['configdrive.sshKey', 'empty', withDrive({ sshKey: '' })],
  ['configdrive.userData', '65,536 bytes', withDrive({ userData: bytes(65_536) })],
  ['configdrive.userData', 'fewer characters but more bytes', withDrive({ userData: 'é'.repeat(40_000) })],
  ['configdrive.userMetadatas', 'a nested value', metadata({ key: 'a', value: { b: 1 } })],
  ['configdrive.userMetadatas', 'a number', metadata({ key: 'a', value: 1 })],
  ['configdrive.userMetadatas', 'null', metadata({ key: 'a', value: null })],
  ['configdrive.userMetadatas', 'a map instead of a list', withDrive({ userMetadatas: { a: 'b' } })],
  ['configdrive.userMetadatas.0.key', 'an empty key', metadata({ key: '', value: 'b' })],
  ['configdrive.userMetadatas.0.key', 'a newline in the key', metadata({ key: 'a\nb', value: 'b' })],
  ['configdrive.userMetadatas.0.key', 'a key of 300 characters', metadata({ key: bytes(300), value: 'b' })],
  ['configdrive.userMetadatas', '5000 keys', metadata(...many(5000))],
  ['configdrive.userMetadatas.0.key', 'uuid', metadata({ key: 'UUID', value: 'b' })],
  ['configdrive.userMetadatas.0.key', 'public_keys', metadata({ key: 'public_keys', value: 'b' })],
  [
    'configdrive.userMetadatas.1.key',
    'a duplicate',
    metadata({ key: 'a', value: 'b' }, { key: 'a', value: 'c' }),
  ],
  [
    'configdrive.userMetadatas.1.key',
    'é in two normal forms',
    metadata({ key: 'é', value: 'b' }, { key: 'e\u0301', value: 'c' }),
  ],
  ['hostname', 'both forms at once', { ...good, hostname: 'a', configdrive: { enable: true } }],
  ...[
    'ftp://h/x',
    'file:///etc/passwd',
    'gopher://h/',
    'data:,x',
    'javascript:alert(1)',
    'unix:/x',
    '//h/x',
    'http:///',
    'http://',
    'http:/h/x',
    'http:\\\\h\\x',
    'http://h\\@x/',
    'x',
    '',
    'http://u:p@h/',
    'http://u@h/',
    'http://@h/',
    'http://1.1.1.1&@127.0.0.1#@h/',
    'http://h/#f',
    'http://h/a b',
    'http://h/\ta',
    'ht\ntp://h/',
    'http://h/\0',
    'http://h:0/',
    'http://h:65536/',
    'http://h:22/',
    'http://h:-1/',
    'http://h../',
    'http://./',
    'http://[::1',
    ' http://h/',
    `http://h/${bytes(70_000)}`,
  ].map((URL): [string, string, unknown] => ['URL', inspect(URL.slice(0, 40)), { ...good, URL }]),
]
for (const [field, name, body] of refused) {
  test(`${field}: ${name} is refused`, () => assertRefused(() => parse(body), field))
}

const accepted: [name: string, body: unknown, read: (request: ByoiRequest) => unknown, expected: unknown][] =
  [
    [
      'an upper-case checksum',
      { ...good, checkSum: 'AB'.repeat(16), checkSumType: 'md5' },
      (r) => r.checkSum?.value,
      'ab'.repeat(16),
    ],
    [
      'sha512',
      { ...good, checkSum: 'a'.repeat(128), checkSumType: 'sha512' },
      (r) => r.checkSum?.type,
      'sha512',
    ],
    [
      'an A-label',
      host('xn--zo-8ia.example.test'),
      (r) => r.configDrive?.hostname,
      'xn--zo-8ia.example.test',
    ],
    ['a hostname of 63 letters', host(bytes(63)), (r) => r.configDrive?.hostname, bytes(63)],
    ['a hostname that begins with a digit', host('1a'), (r) => r.configDrive?.hostname, '1a'],
    [
      'userData of 65,535 bytes',
      withDrive({ userData: bytes(65_535) }),
      (r) => r.configDrive?.userData?.reveal().length,
      65_535,
    ],
    [
      'userData with NUL, CRLF and jinja',
      withDrive({ userData: '{{ 7*7 }}\r\n\0\u0001' }),
      (r) => r.configDrive?.userData?.reveal(),
      '{{ 7*7 }}\r\n\0\u0001',
    ],
    ['userData that is empty', withDrive({ userData: '' }), (r) => r.configDrive?.userData?.reveal(), ''],
    ['a Latin-1 header value', header('X-A', 'zoë a'), (r) => r.httpHeader[0]?.value.reveal(), 'zoë a'],
    ['an empty header value', header('X-A', ''), (r) => r.httpHeader[0]?.value.reveal(), ''],
    ['a header named __proto__', header('__proto__', 'x'), (r) => r.httpHeader[0]?.key, '__proto__'],
    [
      'metadata named constructor',
      metadata({ key: 'constructor', value: 'x' }),
      (r) => r.configDrive?.userMetadatas[0]?.key,
      'constructor',
    ],
    [
      'an IDN host',
      { ...good, URL: 'https://zoë.example.test/a' },
      (r) => r.url.reveal(),
      'https://xn--zo-ija.example.test/a',
    ],
    ['a port', { ...good, URL: 'http://h:8080/a' }, (r) => r.url.reveal(), 'http://h:8080/a'],
    ['an @ in the path', { ...good, URL: 'http://h/a@b?c@d' }, (r) => r.url.reveal(), 'http://h/a@b?c@d'],
  ]
for (const [name, body, read, expected] of accepted) {
  test(`${name} is accepted`, () => assert.equal(read(parse(body)), expected))
}

const naughty = JSON.parse(
  readFileSync(new URL('../testdata/blns.json', import.meta.url), 'utf8'),
) as string[]
const textFields: [field: string, put: (text: string) => JsonObject][] = [
  ['URL', (URL) => ({ ...good, URL })],
  ['type', (type) => ({ ...good, type })],
  ['checkSum', (checkSum) => ({ ...good, checkSum, checkSumType: 'md5' })],
  ['checkSumType', (checkSumType) => ({ ...good, checkSum: sha256, checkSumType })],
  ['description', (description) => ({ ...good, description })],
  ['httpHeader key', (key) => ({ ...good, httpHeader: [{ key, value: 'v' }] })],
  ['httpHeader value', (value) => ({ ...good, httpHeader: [{ key: 'X-A', value }] })],
  ['hostname', (hostname) => ({ ...good, configdrive: { hostname } })],
  ['sshKey', (value) => ({ ...good, configdrive: { sshKey: value } })],
  ['userData', (userData) => ({ ...good, configdrive: { userData } })],
  ['metadata key', (key) => ({ ...good, configdrive: { userMetadatas: [{ key, value: 'v' }] } })],
  ['metadata value', (value) => ({ ...good, configdrive: { userMetadatas: [{ key: 'k', value }] } })],
  ['member name', (name) => ({ ...good, [name === '' ? 'x' : name]: 'x' })],
]
for (const [field, put] of textFields) {
  test(`each naughty string as ${field} is taken as it is or refused by name, one line`, () => {
    for (const text of naughty) {
      try {
        const request = parse(put(text))
        if (field === 'userData') assert.equal(request.configDrive?.userData?.reveal(), text)
      } catch (error) {
        assert.ok(error instanceof BadParameter, inspect(error))
        assert.match(`${error.message}${error.reason}${error.remedy}`, /^[\x20-\x7e]+$/)
      }
    }
  })
}
