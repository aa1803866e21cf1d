import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { join, relative } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Client, type ClientConfig } from 'pg'
import { type ApiAnswer } from '../scripts/api-client.ts'
import { processesOf } from '../scripts/control-plane.ts'
import { readConfigDrive } from '../scripts/disk-proof.ts'
import { smallImage, type SmallImage } from '../scripts/small-image.ts'
import { absent, byoiRoute, labTools, startLab, untilEnded, viewOf, type Lab } from './support/lab.ts'

/** One secret text for each field that may hold one; no two alike, found nowhere else. */
const canaries = {
  httpHeader: `canary-header-${randomBytes(12).toString('hex')}`,
  userData: `canary-userdata-${randomBytes(12).toString('hex')}`,
  userMetadatas: `canary-metadata-${randomBytes(12).toString('hex')}`,
  query: `canary-query-${randomBytes(12).toString('hex')}`,
}

/** A secret, and the forms in which a careless program would write it. */
const formsOf = (secret: string): string[] => {
  const bytes = Buffer.from(secret)
  // Base64 of a text that begins anywhere: the middle of each of the three alignments.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -4),
  )
  return [secret, bytes.toString('hex'), ...base64]
}

/** Names of the fields whose secret is in the text. */
const leaksIn = (text: string): string[] =>
  Object.entries(canaries)
    .filter(([, secret]) => formsOf(secret).some((form) => text.includes(form)))
    .map(([field]) => field)

async function filesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  return names.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name))
}

/** Every row of every table as text, as a dump would show it. */
async function dumpDatabase(data: string): Promise<string> {
  const [, , , port, socket] = (
    await readFile(join(data, 'postgres', 'data', 'postmaster.pid'), 'utf8')
  ).split('\n')
  const connection = { host: socket ?? '', port: Number(port), user: 'byoi' }
  const names = await queryAll(
    connection,
    'postgres',
    'select datname as row from pg_database where datallowconn',
  )
  const dumps = []
  for (const database of names.filter((each) => !each.startsWith('template'))) {
    const tables = await queryAll(
      connection,
      database,
      `select format('%I.%I', table_schema, table_name) as row from information_schema.tables
       where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`,
    )
    for (const table of tables) {
      dumps.push(table, ...(await queryAll(connection, database, `select t::text as row from ${table} t`)))
    }
  }
  return dumps.join('\n')
}

async function queryAll(connection: ClientConfig, database: string, query: string): Promise<string[]> {
  const client = new Client({ ...connection, database })
  await client.connect()
  try {
    const { rows } = await client.query<{ row: string }>(query)
    return rows.map((each) => each.row)
  } finally {
    await client.end()
  }
}

describe('A secret of a request is nowhere but in RAM, encrypted, or on the config drive', {
  skip: absent(labTools),
}, () => {
  const server = 'canary.example.test'
  const answers: string[] = []
  const processes = new Set<string>()
  const asked: IncomingMessage[] = []
  let lab: Lab
  let disk: string
  let image: SmallImage
  let images: Server
  let sampler: NodeJS.Timeout

  /** Command line and environment of everything that runs for this control plane, now. */
  function sampleProcesses(): void {
    for (const pid of processesOf(lab.folder)) {
      try {
        const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8')
        processes.add(`${read('cmdline')}\n${read('environ')}`)
      } catch {
        // It has ended between the two looks.
      }
    }
  }

  async function call(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    const answer = await lab.client.call(method, path, body)
    answers.push(`${JSON.stringify(answer.headers)}\n${answer.text}`)
    return answer
  }

  const request = (path: string): Record<string, unknown> => ({
    URL: `http://127.0.0.1:${(images.address() as AddressInfo).port}/${path}?token=${canaries.query}`,
    type: 'qcow2',
    checkSum: image.sha256,
    checkSumType: 'sha256',
    httpHeader: [{ key: 'Authorization', value: `Bearer ${canaries.httpHeader}` }],
    configdrive: {
      enable: true,
      hostname: 'canary',
      userData: `#cloud-config\n# ${canaries.userData}\n`,
      userMetadatas: [{ key: 'password', value: canaries.userMetadatas }],
    },
  })

  before(async () => {
    lab = await startLab()
    image = await smallImage(lab.folder, 'small', 16, 'qcow2')
    images = createServer((incoming, response) => {
      asked.push(incoming)
      if (incoming.url?.startsWith('/good') !== true) {
        // A hostile server gives back what it was sent.
        response
          .writeHead(403, { 'X-Echo': canaries.httpHeader })
          .end(JSON.stringify(incoming.headers) + incoming.url)
        return
      }
      response.writeHead(200, { 'Content-Length': image.bytes })
      createReadStream(image.path).pipe(response)
    })
    await new Promise<void>((resolve) => images.listen(0, '127.0.0.1', resolve))
    disk = await lab.addServer(server)
    sampler = setInterval(sampleProcesses, 50)
  })
  after(async () => {
    clearInterval(sampler)
    images.closeAllConnections()
    images.close()
    await lab.close()
  })

  const runs = [
    { name: 'a deployment that fails', path: 'forbidden', change: {}, ends: 'error' },
    {
      name: 'a deployment with a bad checksum',
      path: 'good',
      change: { checkSum: '0'.repeat(64) },
      ends: 'error',
    },
    { name: 'a deployment that ends done', path: 'good', change: {}, ends: 'done' },
  ]
  for (const { name, path, change, ends } of runs) {
    test(`${name} runs, and its secrets are used`, async () => {
      asked.length = 0
      const posted = await call('POST', byoiRoute(server), { ...request(path), ...change })
      assert.equal(posted.status, 200, posted.text)
      const view = await untilEnded(lab.client, server)
      assert.equal(view.state, ends, JSON.stringify(view.error ?? view.hold))
      assert.ok(asked.length > 0)
      assert.ok(asked.every((each) => each.headers.authorization === `Bearer ${canaries.httpHeader}`))
      assert.ok(asked.every((each) => each.url?.includes(canaries.query)))
      await call('GET', byoiRoute(server))
      await call('GET', `/byoi/server/${server}/deployment`)
      await call('GET', `/byoi/deployment/${view.id}`)
    })
  }

  test('a refused request gives nothing of itself back', async () => {
    const bad = {
      ...request('good'),
      configdrive: { enable: canaries.userData },
      httpHeader: canaries.httpHeader,
    }
    const refused = await call('POST', byoiRoute(server), bad)
    assert.equal(refused.status, 400, refused.text)
    const invalid = await call('POST', byoiRoute(server), {
      ...request('good'),
      URL: `not a URL ${canaries.query}`,
    })
    assert.equal(invalid.status, 400, invalid.text)
  })

  test('the config drive holds the user data, so the search below can find a secret', async () => {
    const drive = await readConfigDrive(disk)
    assert.ok(drive.userData?.toString().includes(canaries.userData))
    assert.ok(JSON.stringify(drive.metadata).includes(canaries.userMetadatas))
    assert.deepEqual(leaksIn((await readFile(disk)).toString('latin1')), ['userData', 'userMetadatas'])
  })

  test('no answer of the API holds one', () => {
    assert.ok(answers.length >= 14)
    assert.deepEqual(answers.flatMap(leaksIn), [])
  })

  test('no command line and no environment holds one', () => {
    assert.ok([...processes].some((each) => each.includes('apps/agent')))
    assert.ok([...processes].some((each) => each.includes('postgres')))
    assert.deepEqual([...processes].flatMap(leaksIn), [])
  })

  test('nothing that was printed holds one', () => {
    assert.ok(lab.control.output.includes(server))
    assert.deepEqual(leaksIn(lab.control.output), [])
  })

  test('no table of the database holds one', async () => {
    const dump = await dumpDatabase(lab.control.data)
    assert.ok(dump.includes(server))
    assert.deepEqual(leaksIn(dump), [])
  })

  test('no file of the control plane, its database or the agent holds one', async () => {
    assert.ok(await viewOf(lab.client, server))
    const files = await filesIn(lab.control.data)
    assert.ok(files.some((each) => each.endsWith('agent.log')))
    const leaks = []
    for (const path of files) {
      if (!(await stat(path).catch(() => undefined))?.isFile()) continue
      const text = await readFile(path, 'latin1').catch(() => '')
      leaks.push(...leaksIn(text).map((field) => `${relative(lab.control.data, path)}: ${field}`))
    }
    assert.deepEqual(leaks, [])
  })
})
