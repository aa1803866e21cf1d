import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { sql } from 'kysely'
import { account, type Bench, eventually, openBench } from '../control-plane.fixture.ts'
import {
  agentOf,
  bmcPassword,
  closeBmcs,
  mediumIn,
  openProvisioning,
  type Provisioning,
  RealServer,
  wordIn,
} from './netboot.fixture.ts'

let bench: Bench
let listener: Provisioning
let server: RealServer
let id: string
let word: string

before(async () => {
  bench = await openBench({ readingsApartMs: 10 })
  listener = await openProvisioning(bench, { misses: { perSecond: 1000, burst: 1000 } })
  server = await RealServer.add(bench)
  id = await server.inspect()
  await server.until(id, 'await-agent')
  const script = await listener.ask(`/netboot/boot.ipxe?mac=${server.mac}`)
  word = wordIn(script.body.toString())
  assert.equal(word.length, 40)
})
after(async () => {
  await listener.close()
  await bench.close()
  await closeBmcs()
})

/** Sends bytes as they are; what comes back until the other side closes. */
async function raw(bytes: string): Promise<string> {
  const socket = connect(listener.port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(bytes)
  return await text(socket).catch(() => '')
}

const get = (target: string, method = 'GET', more = '') =>
  `${method} ${target} HTTP/1.1\r\nHost: x\r\n${more}\r\n`

describe('the provisioning listener has nothing for', () => {
  const targets = [
    '/',
    '/netboot',
    '/netboot/',
    '/netboot/ipxe/',
    '/netboot/manifest.json',
    '/netboot/byoi.iso',
    '/netboot/../manifest.json',
    '/netboot/ipxe/../../manifest.json',
    '/netboot/ipxe/..%2f..%2fmanifest.json',
    '/netboot/%2e%2e/manifest.json',
    '/netboot//vmlinuz',
    '//netboot/vmlinuz',
    '/NETBOOT/vmlinuz',
    '/netboot/vmlinuz/',
    '/netboot/vmlinuz%00',
    '/netboot/vmlinuz;x',
    '/netboot\\vmlinuz',
    '/netboot/medium/',
    '/netboot/medium/x',
    `/netboot/medium/${'0'.repeat(40)}`,
    `/netboot/medium/${'0'.repeat(41)}`,
    `/netboot/medium/${'g'.repeat(40)}`,
    '/media/',
    `/media/${'0'.repeat(40)}.iso`,
    `/media/${'0'.repeat(40)}.ISO`,
    '/media/../netboot/vmlinuz',
    '/netboot/00-00-00-00-00-00/byoi.iso',
    '/netboot/x/byoi.iso',
    '/1.0/auth/time',
    '/1.0/byoi/server',
    '/agent/v1/join',
    'http://127.0.0.1/netboot/vmlinuz',
    '*',
    `/netboot/boot.ipxe?mac=${'0'.repeat(2000)}`,
  ]
  for (const target of targets) {
    test(`GET ${target.slice(0, 60)}`, async () => {
      const answer = await raw(get(target))
      assert.match(answer, /^HTTP\/1\.1 404 Not Found\r\nContent-Length: 0\r\n/)
      assert.match(answer, /\r\n\r\n$/)
    })
  }

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH', 'PROPFIND']) {
    test(`${method} on what can be read`, async () => {
      for (const path of ['/netboot/vmlinuz', '/netboot/boot.ipxe', `/netboot/medium/${word}`]) {
        assert.match(await raw(get(path, method)), /^HTTP\/1\.1 404/)
      }
    })
  }

  const odd: [string, () => string][] = [
    [
      'a body where none belongs',
      () => `${get(`/netboot/medium/${word}`, 'GET', 'Content-Length: 4\r\n')}evil`,
    ],
    [
      'a chunked body where none belongs',
      () => `${get(`/netboot/medium/${word}`, 'GET', 'Transfer-Encoding: chunked\r\n')}0\r\n\r\n`,
    ],
  ]
  for (const [what, bytes] of odd) {
    test(what, async () => assert.match(await raw(bytes()), /^HTTP\/1\.1 404/))
  }

  const broken: [string, () => string][] = [
    ['a request line that is none', () => 'nonsense\r\n\r\n'],
    ['two lengths', () => get('/netboot/vmlinuz', 'GET', 'Content-Length: 1\r\nContent-Length: 2\r\n')],
    [
      'length and chunks',
      () => get('/netboot/vmlinuz', 'GET', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'),
    ],
    ['a header with a line end', () => get('/netboot/vmlinuz', 'GET', 'X: a\n\tb: \0\r\n')],
    ['a thousand headers', () => get('/netboot/vmlinuz', 'GET', 'X-A: b\r\n'.repeat(1500))],
    ['TLS', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ]
  for (const [what, bytes] of broken) {
    test(`${what}, and closes`, async () => assert.doesNotMatch(await raw(bytes()), /^HTTP\/1\.1 2/))
  }
})

describe('a boot script for odd questions', () => {
  const queries = [
    'mac=%00',
    'mac[]=x',
    '__proto__=x',
    `mac=${'52:54:00:00:00:01&mac='.repeat(20)}`,
    "mac=' or 1=1 --",
    'mac=${net0/ip}',
    'mac=%0aboot',
  ]
  for (const query of queries) {
    test(`says nothing: ${query.slice(0, 40)}`, async () => {
      const answer = await listener.ask(`/netboot/boot.ipxe?${query.replaceAll(' ', '%20')}`)
      assert.equal(answer.status, 200)
      assert.match(
        answer.body.toString(),
        /^#!ipxe\necho byoi: no agent is to be started on this server now\nexit 1\n$/,
      )
    })
  }
})

test('after all that the server has its medium still, and no line or answer held a secret', async () => {
  const given = await listener.ask(`/netboot/medium/${word}`)
  assert.equal(given.status, 200)
  const { secret } = mediumIn(given.body)
  assert.equal(Buffer.from(secret, 'base64url').length, 32)
  const answers = [
    await listener.ask(`/netboot/medium/${word}`),
    await listener.ask(`/netboot/boot.ipxe?mac=${server.mac}`),
    await bench.ports.servers.show(server.name),
    await bench.ports.servers.listAll(),
    await bench.ports.servers.check(server.name),
    await bench.ports.deployments.byId(account, id),
    await bench.db.selectFrom('audit').selectAll().execute(),
  ]
  const agent = agentOf(bench, given.body)
  answers.push((await agent.join()) as never, (await agent.order()) as never)
  await agent.report(null, { kind: 'inspected', findings: [] })
  await eventually('the end', async () => (await server.row(id)).state === 'done')

  const { rows } = await sql<{ name: string }>`
    select table_schema || '.' || table_name as name from information_schema.tables
    where table_schema in ('public', 'pgboss') and table_type = 'BASE TABLE'`.execute(bench.db)
  let dump = ''
  for (const { name } of rows) {
    const found = await sql<{ row: string }>`select t::text as row from ${sql.raw(name)} t`.execute(bench.db)
    dump += found.rows.map(({ row }) => row).join('\n')
  }
  const logged = listener.log.join('')
  assert.ok(logged.includes('provisioned') && dump.includes(id) && logged.includes(server.name))
  const places = { log: logged, answers: JSON.stringify(answers), database: dump }
  for (const [where, content] of Object.entries(places)) {
    for (const each of [secret, bmcPassword, word]) {
      const hex = Buffer.from(each).toString('hex')
      const base64 = Buffer.from(each).toString('base64').replaceAll('=', '')
      for (const form of [each, hex, base64]) assert.ok(!content.includes(form), `${where}: ${form}`)
    }
  }
})
