import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ByoiClient, ovhSignature, Secret } from '@byoi/contract'
import { call, send, startApi } from './http.fixture.ts'
import { addKey, addServer, type TestKey } from './memory-ports.fixture.ts'

const run = promisify(execFile)
const skip = spawnSync('openssl', ['version']).error === undefined ? false : 'openssl is not installed'

/** A self-signed certificate for localhost, as PEM. */
async function makeTls(t: TestContext): Promise<{ key: string; cert: string; caFile: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'byoi-tls-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const [keyFile, caFile] = [join(dir, 'key.pem'), join(dir, 'ca.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await run('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', keyFile, '-out', caFile])
  return { key: await readFile(keyFile, 'utf8'), cert: await readFile(caFile, 'utf8'), caFile }
}

test("npm's ovh client, unmodified, deploys, follows and deletes over TLS", { skip }, async (t) => {
  const tls = await makeTls(t)
  const api = await startApi(t, { tls })
  addServer(api.ports, 'a', 'ns1.example.test')
  const key = addKey(api.ports, 'a')
  const program = fileURLToPath(new URL('ovh-client.fixture.cjs', import.meta.url))
  const { stdout } = await run(
    process.execPath,
    [program, String(api.port), key.applicationKey, key.applicationSecret, key.consumerKey],
    { env: { ...process.env, NODE_EXTRA_CA_CERTS: tls.caFile }, timeout: 20_000 },
  )
  const answers = stdout.trim().split('\n')
  const [list, server, refused, post, status, gone, none, absent] = answers.map(
    (line) => JSON.parse(line) as { [name: string]: unknown } | null,
  )
  assert.deepEqual(list, ['ns1.example.test'])
  assert.equal(server?.['name'], 'ns1.example.test')
  assert.deepEqual(refused?.['failed'], { error: 400, message: 'Bad format image, expected: qcow2, raw.' })
  assert.equal(post, null)
  assert.deepEqual(status, {
    status: 'doing',
    message: 'starting',
    checksum: null,
    servername: 'ns1.example.test',
  })
  assert.equal(gone, null)
  assert.equal((none?.['failed'] as { error?: number } | undefined)?.error, 404)
  assert.deepEqual(absent?.['failed'], {
    error: 404,
    message: 'The requested object (serviceName = ns9) does not exist',
  })
  const [started] = api.ports.started
  assert.equal(started?.request.configDrive?.userData?.reveal(), 'é<&>')
})

test('over TLS our client works with the authority given, and a URL signed with http is refused', {
  skip,
}, async (t) => {
  const tls = await makeTls(t)
  const api = await startApi(t, { tls })
  addServer(api.ports, 'a', 'ns1.example.test')
  const key = addKey(api.ports, 'a')
  const options = {
    endpoint: `https://127.0.0.1:${api.port}/1.0`,
    applicationKey: key.applicationKey,
    applicationSecret: new Secret(key.applicationSecret),
    consumerKey: new Secret(key.consumerKey),
  }
  assert.deepEqual(await new ByoiClient({ ...options, ca: tls.cert }).servers(), ['ns1.example.test'])
  await assert.rejects(new ByoiClient(options).servers(), /could not be reached/)
  const signedHttp = await sendTls(api.port, tls.cert, key)
  assert.equal(signedHttp, 'INVALID_SIGNATURE')
})

/** Asks for the list over TLS with a signature made over the same URL with http. */
async function sendTls(port: number, ca: string, key: TestKey): Promise<string> {
  const path = '/1.0/dedicated/server'
  const timestamp = String(Math.floor(Date.now() / 1000))
  const url = `http://localhost:${port}${path}`
  const headers = {
    'X-Ovh-Application': key.applicationKey,
    'X-Ovh-Consumer': key.consumerKey,
    'X-Ovh-Timestamp': timestamp,
    'X-Ovh-Signature': ovhSignature({ ...key, method: 'GET', url, body: '', timestamp }),
  }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: 'localhost', port, path, ca, headers, agent: false }, resolve).once('error', reject)
  })
  return (JSON.parse(await text(answer)) as { errorCode: string }).errorCode
}

/** What go-ovh and python-ovh send, header by header. */
const clients: [name: string, headers: Record<string, string>, body: string][] = [
  [
    'go-ovh',
    {
      Accept: 'application/json',
      'User-Agent': 'github.com/ovh/go-ovh',
      'Accept-Encoding': 'gzip',
      'Content-Type': 'application/json;charset=utf-8',
    },
    String.raw`{"URL":"https://images.example.test/a?x=1\u0026y=2","type":"raw"}`,
  ],
  [
    'python-ovh',
    { 'Content-type': 'application/json', 'Accept-Encoding': 'gzip, deflate', Accept: '*/*' },
    String.raw`{"URL": "https://images.example.test/\u00e9", "type": "raw", "configdrive": {"enable": true, "hostname": null}}`,
  ],
]
for (const [name, headers, body] of clients) {
  test(`a request as ${name} sends it, signed with scheme and port, is accepted over plain HTTP`, async (t) => {
    const api = await startApi(t)
    addServer(api.ports, 'a', 'ns1.example.test')
    const key = addKey(api.ports, 'a')
    const target = '/1.0/dedicated/server/ns1.example.test/bringYourOwnImage'
    const answer = await call(api, key, { method: 'POST', target, body, headers })
    assert.deepEqual([answer.status, answer.text], [200, 'null'])
    // Neither signs the time, and go-ovh with a slash at its endpoint's end asks for it so.
    assert.match((await send(api.port, 'GET', '/1.0//auth/time')).text, /^[0-9]+$/)
  })
}
