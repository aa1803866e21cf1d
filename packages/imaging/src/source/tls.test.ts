import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { getCACertificates, setDefaultCACertificates, type TlsOptions } from 'node:tls'
import { assertDisk, assertFailure, deploy, image, rightSum, staged, stageOf } from './testing/deploying.ts'
import { content, failure, fetchAll, KeepingSink, MIB, open } from './testing/fetching.ts'
import {
  fileHandler,
  type Handler,
  head,
  scriptedServer,
  type ScriptedServer,
} from './testing/scripted-server.ts'

let folder = ''
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

/** `openssl ca`, because `openssl x509` sets dates of its own before version 3.4. */
const CA = `[ca]
default_ca = ca
[ca]
dir = .
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
`

/** A key and a certificate for `names`, valid from `from` to `to`, signed by `issuer`, or by itself as an authority. */
function issue(name: string, issuer: string | null, names: string, from: string, to: string): TlsOptions {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`]
  openssl('req', '-new', ...key, '-subj', `/CN=${name}`, '-out', `${name}.csr`)
  const extension = issuer ? `subjectAltName=${names}` : 'basicConstraints=critical,CA:TRUE'
  writeFileSync(join(folder, `${name}.ext`), `${extension}\n`)
  const signer = issuer
    ? ['-cert', `${issuer}.crt`, '-keyfile', `${issuer}.key`]
    : ['-selfsign', '-keyfile', `${name}.key`]
  const span = ['-startdate', from, '-enddate', to, '-extfile', `${name}.ext`]
  openssl(
    'ca',
    '-batch',
    '-notext',
    '-config',
    'ca.cnf',
    ...signer,
    ...span,
    '-in',
    `${name}.csr`,
    '-out',
    `${name}.crt`,
  )
  return { key: read(`${name}.key`), cert: read(`${name}.crt`) }
}

const servers: Record<string, TlsOptions> = {}
const trusted = getCACertificates('default')
const LONG = ['20200101000000Z', '20900101000000Z'] as const
const HERE = 'IP:127.0.0.1,DNS:localhost'

const skip = spawnSync('openssl', ['version']).error ? 'openssl is not installed' : false

describe('Over TLS', { skip }, () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tls-'))
    writeFileSync(join(folder, 'ca.cnf'), CA)
    writeFileSync(join(folder, 'index.txt'), '')
    issue('authority', null, '', ...LONG)
    issue('stranger', null, '', ...LONG)
    servers.good = issue('good', 'authority', HERE, ...LONG)
    servers.expired = issue('expired', 'authority', HERE, '20200101000000Z', '20200102000000Z')
    servers.early = issue('early', 'authority', HERE, '20890101000000Z', '20900101000000Z')
    servers.elsewhere = issue('elsewhere', 'authority', 'DNS:elsewhere.test', ...LONG)
    servers.unknown = issue('unknown', 'stranger', HERE, ...LONG)
    servers.self = { key: read('stranger.key'), cert: read('stranger.crt') }
    servers.renewed = issue('renewed', 'authority', HERE, ...LONG)
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }
      servers[version] = { ...servers.good, ...old }
    }
    setDefaultCACertificates([...trusted, read('authority.crt')])
  })

  after(() => {
    setDefaultCACertificates(trusted)
    rmSync(folder, { recursive: true })
  })

  test('A certificate from a trusted authority will do, by address and by name, and bytes arrive unchanged.', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      await using server = await scriptedServer(fileHandler(content), { ...servers.good, maxVersion })
      for (const host of ['127.0.0.1', 'localhost']) {
        assert.ok((await fetchAll(`https://${host}:${server.port}/x`)).equals(content))
      }
    }
  })

  const BAD: [name: string, why: RegExp][] = [
    ['expired', /The certificate of 127\.0\.0\.1 has expired/],
    ['early', /not valid yet/],
    ['elsewhere', /is for another name/],
    ['unknown', /authority that is not trusted/],
    ['self', /signed by itself/],
    ['TLSv1', /No secure connection/],
    ['TLSv1.1', /No secure connection/],
  ]

  for (const [name, why] of BAD) {
    test(`I3.37 a server with the certificate or protocol '${name}' gets no request: DOWNLOAD, D0`, async () => {
      await using server = await scriptedServer(fileHandler(content), servers[name])
      const ended = await deploy(server.origin, { httpHeader: [{ key: 'X-A', value: 's3cret' }] })
      assertFailure(ended, 'DOWNLOAD', why, 'untouched')
      assert.deepEqual([server.requests.length, server.connections], [0, 0])
    })
  }

  test('NODE_TLS_REJECT_UNAUTHORIZED changes nothing.', async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      await using server = await scriptedServer(fileHandler(content), servers.expired)
      assert.match((await failure(open(server.origin))).cause, /has expired/)
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    }
  })

  test('Plain HTTP behind an https URL is refused.', async () => {
    await using server = await scriptedServer((_, socket) => void socket.write(head(200)))
    const refused = failure(
      open(server.origin.replace('http', 'https'), { limits: { connectMs: 300, retryBudgetMs: 1 } }),
    )
    assert.equal((await refused).code, 'DOWNLOAD')
  })

  for (const stage of ['open', 'resume'] as const) {
    test(`I3.35, I3.36 a redirect of '${stage}' from https to http: DOWNLOAD, nobody else asked`, async () => {
      await using plain = await scriptedServer(fileHandler(image))
      const answer = head(302, { Location: plain.origin, 'Content-Length': 0 })
      const file = stage === 'resume' ? { cut: { how: 'end', at: MIB } as const } : {}
      const handler = staged({ [stage]: (_: unknown, socket: Socket) => void socket.end(answer) }, file)
      await using server = await scriptedServer(handler, servers.good)
      const ended = await deploy(server.origin, { httpHeader: [{ key: 'X-A', value: 's3cret' }] })
      assertFailure(ended, 'DOWNLOAD', /from https to http/, stage === 'open' ? 'untouched' : 'unbootable')
      assert.equal(plain.connections, 0)
    })
  }

  for (const how of ['end', 'silence'] as const) {
    test(`A body over TLS that breaks off by ${how} is resumed where it stopped.`, async () => {
      const cut = { how, at: MIB }
      await using server = await scriptedServer(fileHandler(content, { cut }), servers.good)
      assert.ok(
        (await fetchAll(server.origin, { limits: how === 'silence' ? { idleMs: 150 } : {} })).equals(content),
      )
      assert.ok(server.requests.length >= 3)
    })
  }

  for (const [name, why] of BAD.filter(([name]) => !name.startsWith('TLS'))) {
    test(`I3.37 the certificate '${name}' on the resume only gets no request: DOWNLOAD, D1`, async () => {
      await using server = await changing(name)
      const httpHeader = [{ key: 'X-A', value: 's3cret' }]
      const ended = await deploy(server.origin, { httpHeader, checkSum: rightSum })
      assertFailure(ended, 'DOWNLOAD', why, 'unbootable')
      assert.equal(server.requests.filter((request) => stageOf(request) === 'resume').length, 0)
    })
  }

  test('I3.37 another certificate that is in order on the resume: the file goes on', async () => {
    await using server = await changing('renewed')
    assertDisk(await deploy(server.origin, { checkSum: rightSum }), 'complete')
    assert.equal(server.requests.filter((request) => stageOf(request) === 'resume').length, 1)
  })

  /** A server that takes the certificate `name` after the first half of the file, where it ends the connection. */
  async function changing(name: string): Promise<ScriptedServer> {
    const cut = { how: 'end', at: Math.floor(image.length / 2) } as const
    const serve = staged({}, { cut })
    const handler: Handler = (request, socket, index) => {
      if (stageOf(request) === 'whole') server.setCertificate(servers[name] ?? {})
      return serve(request, socket, index)
    }
    const options = { ...servers.good }
    const server = await scriptedServer(handler, options)
    return server
  }

  test('A sink that makes us wait again and again loses nothing over TLS, chunked or not.', async () => {
    for (const chunked of [false, true]) {
      await using server = await scriptedServer(fileHandler(content, { chunked }), servers.good)
      const sink = new KeepingSink(9_001)
      const waiting = {
        commit: (length: number) => sink.commit(length),
        reserve: () =>
          new Promise<Uint8Array>((resolve) => setImmediate(() => resolve(sink.reserve() as Uint8Array))),
      }
      const source = await open(server.origin)
      assert.equal(await source.stream(waiting), content.length)
      assert.ok(sink.bytes.equals(content))
      await source.close()
    }
  })
})
