import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import type { ByoiBody, DeploymentBody, NewKeyBody, NewServerBody } from '@byoi/contract'
import { byoi, environment, keys, type Route, testApi, view } from './api.fixture.ts'
import { parseOvhConf } from './ovh-conf.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-cli-'))
after(() => rmSync(directory, { recursive: true }))

const name = 'ns1.example.test'
const byoiPath = `/dedicated/server/${name}/bringYourOwnImage`
const currentPath = `/byoi/server/${name}/deployment`
const ended = '2026-11-24T00:01:00Z'

async function serve(t: TestContext, routes: Record<string, Route>) {
  const api = await testApi(routes)
  t.after(() => api.close())
  return { api, env: environment(api.endpoint) }
}

function file(fileName: string, content: unknown): string {
  const path = join(directory, fileName)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const event = (id: number, data: unknown) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`

const eventStream = (response: ServerResponse) =>
  response.writeHead(200, { 'content-type': 'text/event-stream' })

test('deploy sends what the command line says, and shows what was started', async (t) => {
  let body: ByoiBody | undefined
  const { api, env } = await serve(t, {
    [`POST ${byoiPath}`]: (given) => {
      body = given as ByoiBody
      return null
    },
    [`GET ${currentPath}`]: () => view(),
  })
  const configdrive = file('drive.json', { enable: true, hostname: 'node-1', userData: '#cloud-config\n' })
  const url = 'https://images.example.test/a.qcow2?token=canary'
  const image = ['--url', url, '--type', 'qcow2', '--checksum', `SHA256:${'AB'.repeat(32)}`]
  const more = ['--header', 'Authorization: Bearer x', '--configdrive', configdrive, '--disk-group', '2']
  const ran = await byoi(['deploy', name, ...image, ...more], env)
  assert.deepEqual(body, {
    URL: url,
    type: 'qcow2',
    checkSum: 'ab'.repeat(32),
    checkSumType: 'sha256',
    httpHeader: [{ key: 'Authorization', value: 'Bearer x' }],
    configdrive: { enable: true, hostname: 'node-1', userData: '#cloud-config\n' },
    diskGroupId: 2,
  })
  assert.equal(ran.status, 0)
  assert.match(ran.stdout, /^deployment: +d-1 \(deploy\)$/m)
  assert.deepEqual(api.calls, [`POST ${byoiPath}`, `GET ${currentPath}`])
  assert.doesNotMatch(ran.stdout + ran.stderr, /canary/)
})

test('deploy by our own call sends what the image is to be verified by', async (t) => {
  const bodies: DeploymentBody[] = []
  const { api, env } = await serve(t, {
    [`POST ${currentPath}`]: (given) => {
      bodies.push(given as DeploymentBody)
      return { id: 'd-1' }
    },
    [`GET ${currentPath}`]: () => view(),
  })
  const deploy = async (...args: string[]) =>
    assert.equal((await byoi(['deploy', name, '--url', 'http://a/i', ...args], env)).status, 0)
  const sums = ['--checksum-url', 'http://a/SUMS', '--checksum-name', 'b']
  await deploy('--type', 'vmdk')
  await deploy('--type', 'raw', '--grow-last-partition')
  await deploy('--type', 'raw', '--disk', 'S1', '--disk', 'S2')
  await deploy('--type', 'raw', ...sums)
  await deploy('--type', 'raw', ...sums, '--signature', 'http://a/SUMS.sig', '--key', 'one', '--key', 'two')
  await deploy('--type', 'raw', '--signature', 'http://a/i.sig', '--key', 'one')
  const image = { URL: 'http://a/i', type: 'raw' }
  const list = { checkSumUrl: 'http://a/SUMS', checkSumName: 'b' }
  assert.deepEqual(bodies, [
    { ...image, type: 'vmdk' },
    { ...image, growLastPartition: true },
    { ...image, disks: ['S1', 'S2'] },
    { ...image, ...list },
    { ...image, ...list, signatureUrl: 'http://a/SUMS.sig', signatureOf: 'sums', keyNames: ['one', 'two'] },
    { ...image, signatureUrl: 'http://a/i.sig', signatureOf: 'image', keyNames: ['one'] },
  ])
  const local = await byoi(
    ['deploy', name, '--url', 'http://a/i', '--type', 'raw', '--checksum-url', 'S'],
    env,
  )
  assert.deepEqual([local.status, api.calls.length], [2, 12])
})

test('signing-key add, list and remove', async (t) => {
  const key = { name: 'release', format: 'minisign', ids: ['0101010101010101'], createdAt: ended }
  const given: unknown[] = []
  const { env } = await serve(t, {
    'POST /byoi/signingKey': (body) => (given.push(body), key),
    'GET /byoi/signingKey': () => [key],
    'DELETE /byoi/signingKey/release': () => null,
  })
  const path = file('release.pub', 'untrusted comment: x\nRWQ=\n')
  const binary = join(directory, 'release.gpg')
  writeFileSync(binary, Buffer.from([0x98, 1, 2]))
  for (const text of [path, binary, 'RWQ='])
    assert.equal((await byoi(['signing-key', 'add', 'release', text], env)).status, 0)
  assert.deepEqual(
    given,
    ['untrusted comment: x\nRWQ=\n', 'mAEC', 'RWQ='].map((each) => ({ name: 'release', key: each })),
  )
  const list = await byoi(['signing-key', 'list'], env)
  assert.match(list.stdout, /^NAME.*\nrelease +minisign +0101010101010101 /)
  const removed = await byoi(['signing-key', 'remove', 'release'], env)
  assert.deepEqual([removed.status, removed.stdout], [0, 'Removed release.\n'])
})

test('deploy --wait follows to the end; a broken stream is taken up where it broke', async (t) => {
  const seen: unknown[] = []
  const { env } = await serve(t, {
    [`POST ${byoiPath}`]: () => null,
    [`GET ${currentPath}`]: () => view(),
    'GET /byoi/deployment/d-1/events': (_body, request, response) => {
      seen.push(request.headers['last-event-id'])
      eventStream(response)
      if (seen.length === 1) response.write(event(7, view()), () => response.destroy())
      else response.end(event(8, view({ state: 'done', endedAt: ended, disk: 'complete' })))
    },
  })
  const args = ['deploy', name, '--url', 'https://images.example.test/a', '--type', 'raw', '--wait', '--json']
  const ran = await byoi(args, env)
  assert.equal(ran.status, 0)
  assert.deepEqual(seen, ['0', '7'])
  assert.equal((JSON.parse(ran.stdout) as { state: string }).state, 'done')
  assert.equal(ran.stderr, '')
})

for (const { what, booted, status } of [
  { what: 'with evidence', booted: { at: ended, by: 'login-prompt' } as const, status: 0 },
  { what: 'without any', booted: null, status: 1 },
]) {
  test(`status --booted goes on after the end, and ends with ${status} ${what}`, async (t) => {
    const { env } = await serve(t, {
      [`GET ${currentPath}`]: () => view({ state: 'done', endedAt: ended }),
      'GET /byoi/deployment/d-1/events': (_body, _request, response) => {
        const done = { state: 'done', endedAt: ended } as const
        eventStream(response).end(event(1, view(done)) + event(2, view({ ...done, booted, log: ['late'] })))
      },
    })
    const ran = await byoi(['status', name, '--booted', '--json'], env)
    assert.equal(ran.status, status)
    assert.deepEqual((JSON.parse(ran.stdout) as { booted: unknown }).booted, booted)
    if (status === 1) assert.match(ran.stderr, /^error: There is no sign that the deployed system has booted/)
  })
}

const failure = { code: 'SUM', message: 'Bad sum.', cause: 'It differs.', remedy: 'Correct it.' } as const
const ends = [
  { state: 'done', status: 0, stderr: /^ns1.example.test {2}write {2}50.0 %/ },
  { state: 'error', status: 1, stderr: /error: Bad sum\.\n {2}It differs\.\n {2}Correct it\.\n$/ },
  { state: 'cancelled', status: 1, stderr: /cancelled/ },
  { state: 'hold', status: 1, stderr: /hold/ },
] as const

for (const { state, status, stderr } of ends) {
  test(`status --watch ends with ${status} when the deployment ends as ${state}`, async (t) => {
    const changes = {
      ...(state === 'hold' ? { hold: 'Look at the server.' } : { endedAt: ended }),
      ...(state === 'error' ? { error: failure } : {}),
    }
    const { env } = await serve(t, {
      [`GET ${currentPath}`]: () => view(),
      'GET /byoi/deployment/d-1/events': (_body, _request, response) => {
        eventStream(response).end(event(1, view()) + event(2, view({ state, ...changes })))
      },
    })
    const ran = await byoi(['status', name, '--watch'], env)
    assert.equal(ran.status, status)
    assert.match(ran.stderr, stderr)
    assert.match(ran.stdout, new RegExp(`^state: +${state}$`, 'm'))
  })
}

test('status --watch polls where there is no event stream', async (t) => {
  let polls = 0
  const { env } = await serve(t, {
    [`GET ${currentPath}`]: () => view(),
    'GET /byoi/deployment/d-1': () => {
      polls += 1
      return polls < 2 ? view() : view({ state: 'done', endedAt: ended })
    },
  })
  assert.equal((await byoi(['status', name, '--watch'], env)).status, 0)
  assert.equal(polls, 2)
})

test('a refusal of the API is shown with its cause and remedy, exit status 1', async (t) => {
  const { env } = await serve(t, {})
  const ran = await byoi(['status', name], env)
  assert.deepEqual(ran, {
    status: 1,
    stdout: '',
    stderr: 'error: This does not exist.\n  There is no such thing.\n  Name another.\n',
  })
})

test('an API that is not there is an error with exit status 1', async (t) => {
  const { api, env } = await serve(t, {})
  await api.close()
  const ran = await byoi(['status', name], env)
  assert.equal(ran.status, 1)
  assert.match(ran.stderr, /^error: The API could not be reached\./)
})

for (const command of ['delete', 'rescue']) {
  test(`${command} --wait returns once the deployment is forgotten`, async (t) => {
    let forgotten = false
    let looks = 0
    const { env } = await serve(t, {
      [`DELETE ${byoiPath}`]: () => {
        forgotten = true
        return null
      },
      [`GET ${currentPath}`]: (_body, _request, response) => {
        assert.ok(forgotten)
        looks += 1
        if (looks < 2) return view({ state: 'cancelled' })
        response.writeHead(404).end('{"message":"none"}')
        return undefined
      },
    })
    const ran = await byoi([command, name, '--wait'], env)
    assert.deepEqual(ran, { status: 0, stdout: `${name} is in rescue.\n`, stderr: '' })
  })
}

test('server add sends one disk and the settings of its BMC', async (t) => {
  let body: NewServerBody | undefined
  const { env } = await serve(t, {
    'POST /byoi/server': (given) => {
      body = given as NewServerBody
      return null
    },
  })
  const disk = join(directory, 'disk.img')
  const args = ['server', 'add', name, '--bmc', 'local', '--disk', disk, '--size', '12GiB', '--boot', 'uefi']
  const ran = await byoi(args, env)
  assert.equal(ran.status, 0)
  const size = 12 * 1024 ** 3
  const serial = body?.diskGroups[0]?.disks[0]?.serial
  assert.ok(serial)
  assert.deepEqual(body, {
    serviceName: name,
    account: 'default',
    boot: 'uefi',
    diskGroups: [{ diskGroupId: 1, disks: [{ serial, size }] }],
    bmc: { kind: 'local', settings: { disk, serial, size, sectorSize: 512 } },
  })
})

for (const [problems, status, stderr] of [
  [[], 0, ''],
  [['The BMC does not answer.'], 1, 'problem: The BMC does not answer.\n'],
] as const) {
  test(`server check with ${problems.length} problems ends with status ${status}`, async (t) => {
    const answer = {
      identity: null,
      power: problems.length === 0 ? 'on' : null,
      bootDevice: 'network',
      problems,
    }
    const { env } = await serve(t, { [`POST /byoi/server/${name}/check`]: () => answer })
    const stdout = `power:       ${answer.power ?? 'unknown'}\nboot device: network\n`
    assert.deepEqual(await byoi(['server', 'check', name], env), { status, stdout, stderr })
    const json = await byoi(['server', 'check', name, '--json'], env)
    assert.deepEqual([json.status, JSON.parse(json.stdout)], [status, answer])
  })
}

test('key create prints an ovh.conf that the next command reads', async (t) => {
  let body: NewKeyBody | undefined
  const { api, env } = await serve(t, {
    'POST /byoi/key': (given) => {
      body = given as NewKeyBody
      return keys
    },
    [`GET ${currentPath}`]: () => view(),
  })
  const ran = await byoi(['key', 'create'], env)
  assert.deepEqual(parseOvhConf(ran.stdout), { endpoint: api.endpoint, ...keys })
  assert.equal(body?.account, 'default')
  assert.ok(body.rules.some((rule) => rule.method === 'DELETE' && rule.path === '/dedicated/server/*'))

  const conf = file('made.conf', ran.stdout)
  assert.equal((await byoi(['status', name, '--conf', conf])).status, 0)
})

const ruleCases = [
  { args: ['--rule', 'GET /me*'], rules: [{ method: 'GET', path: '/me*' }] },
  { args: ['--all'], rules: ['DELETE', 'GET', 'POST', 'PUT'].map((method) => ({ method, path: '/*' })) },
]
for (const { args, rules } of ruleCases) {
  test(`key create ${args.join(' ')} --json asks for those rules and prints the key`, async (t) => {
    let body: NewKeyBody | undefined
    const { api, env } = await serve(t, {
      'POST /byoi/key': (given) => {
        body = given as NewKeyBody
        return keys
      },
    })
    const ran = await byoi(['key', 'create', '--account', 'acme', ...args, '--json'], env)
    assert.deepEqual(body, { account: 'acme', rules })
    assert.deepEqual(JSON.parse(ran.stdout), { endpoint: api.endpoint, ...keys })
  })
}

test("--data uses the operator's key of that directory", async (t) => {
  const { api } = await serve(t, { 'GET /byoi/server': () => [] })
  const data = join(directory, 'data')
  mkdirSync(data)
  writeFileSync(join(data, 'operator.json'), JSON.stringify({ endpoint: api.endpoint, ...keys }))
  const ran = await byoi(['server', 'list', '--data', data, '--json'])
  assert.deepEqual(ran, { status: 0, stdout: '[]\n', stderr: '' })
})

for (const [option, code] of [
  [['--type', 'iso'], 'FORMAT'],
  [['--type', 'raw', '--checksum', 'crc32:00'], 'SUMTYPE'],
] as const) {
  test(`deploy ${option.join(' ')} fails as ${code} before anything is sent`, async (t) => {
    const { api, env } = await serve(t, {})
    const ran = await byoi(['deploy', name, '--url', 'http://a/', ...option], env)
    assert.equal(ran.status, 1)
    assert.match(ran.stderr, code === 'FORMAT' ? /^error: Bad format image/ : /^error: Bad checkSumType/)
    assert.deepEqual(api.calls, [])
  })
}
