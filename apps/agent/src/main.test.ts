import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { type DeployOrder, agentPaths } from '@byoi/contract'
import { TestControlPlane } from './control-plane.fixture.ts'

const main = join(import.meta.dirname, 'main.ts')
const tools = { openssl: 'openssl', sgdisk: 'gdisk' }
const missing = Object.entries(tools).filter(([tool]) => spawnSync(tool, ['--version']).error !== undefined)
const skip =
  missing.length > 0 && missing.map(([tool, name]) => `${tool} is not installed (Debian: ${name})`).join(', ')

const MiB = 1024 ** 2
const imageSize = 16 * MiB
const diskSize = 32 * MiB

/** Runs the agent as its own process, with nothing in its environment but PATH. */
async function agent(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [status] = await exited
  return { status, stdout, stderr }
}

interface Site {
  plane: TestControlPlane
  image: Buffer
  disk: string
  run: () => ReturnType<typeof agent>
}

/** A control plane, an image server, and a file-backed disk with something old on it, or the disk of another site. */
async function site(t: TestContext, other?: Site): Promise<Site> {
  const order: DeployOrder = {
    kind: 'deploy',
    deploymentId: 'd-1',
    epoch: 1,
    image: {
      url: '',
      type: 'raw',
      httpHeader: [{ key: 'X-Token', value: 'canary-header' }],
      checkSum: null,
      sums: null,
      signature: null,
    },
    disk: { serial: 'S1', wwn: null, size: diskSize },
    mirrors: [],
    growLastPartition: false,
    boot: 'legacy',
    efiBootloaderPath: null,
    configDrive: {
      instanceId: 'd-1',
      hostname: 'node-1',
      sshKey: null,
      userDataBase64: Buffer.from('#cloud-config\ncanary-user-data').toString('base64'),
      userMetadatas: [],
      phoneHomeUrl: null,
    },
    addressPolicy: { allow: ['127.0.0.0/8'], deny: [], allowPrivate: false, denyPorts: [] },
    spoolBytes: MiB,
  }
  const plane = await TestControlPlane.start(order)
  t.after(() => plane.stop())
  const image = makeImage(join(plane.directory, 'image.raw'))
  const server = createServer((request, response) => {
    const allowed = request.headers['x-token'] === 'canary-header'
    response.writeHead(allowed ? 200 : 403, { 'content-length': image.length }).end(image)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  order.image.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.raw?token=canary-token`
  order.image.checkSum = { type: 'sha256', value: createHash('sha256').update(image).digest('hex') }

  const disk = other?.disk ?? join(plane.directory, 'disk.img')
  if (other === undefined) {
    writeFileSync(disk, Buffer.alloc(2 * MiB, 'old'))
    truncateSync(disk, diskSize)
  }
  const run = () =>
    agent('--boot-medium', plane.medium(), '--disk', disk, '--disk-serial', 'S1', '--sector-size', '512')
  return { plane, image, disk, run }
}

/** A disk with a GPT, one partition, boot code and some content. */
function makeImage(path: string): Buffer {
  const content = Buffer.alloc(imageSize)
  for (let at = 2 * MiB; at < 14 * MiB; at += 64 * 1024) content.write(`block at ${at}`, at)
  content.write('\xfa\x31\xc0boot code', 0, 'latin1')
  writeFileSync(path, content)
  const made = spawnSync('sgdisk', ['-n', '1:2048:0', '-t', '1:8300', path], { encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
  return readFileSync(path)
}

const middle = (bytes: Buffer) => bytes.subarray(MiB, imageSize - MiB)

test('the agent deploys onto a file, is heard, and exits 0; a second run on that disk too', {
  skip,
}, async (t) => {
  let last: Site | undefined
  for (const _run of ['first', 'second']) {
    last = await site(t, last)
    const { plane, image, disk, run } = last
    const ran = await run()
    assert.equal(ran.status, 0, ran.stdout + ran.stderr)
    const outcome = plane.outcome()
    assert.ok(outcome?.kind === 'published', JSON.stringify(outcome))
    assert.equal(outcome.result.checkSum, createHash('sha256').update(image).digest('hex'))
    assert.deepEqual(plane.faults, [])

    const written = readFileSync(disk)
    assert.equal(written.length, diskSize)
    assert.ok(middle(written).equals(middle(image)))
    assert.match(spawnSync('sgdisk', ['-v', disk], { encoding: 'utf8' }).stdout, /No problems found/)
    assert.doesNotMatch(ran.stdout + ran.stderr + JSON.stringify(plane.reports()), /canary/)
  }
})

test('a permit that is refused leaves the disk unbootable, and the agent exits 1', { skip }, async (t) => {
  const { plane, image, disk, run } = await site(t)
  plane.judge = (path) => (path === agentPaths.permit ? 410 : 'yes')
  const ran = await run()
  assert.equal(ran.status, 1, ran.stdout + ran.stderr)
  assert.equal(plane.count(agentPaths.permit), 1)
  assert.equal(plane.outcome(), null)
  const written = readFileSync(disk)
  const zero = Buffer.alloc(MiB)
  assert.ok(written.subarray(0, MiB).equals(zero))
  assert.ok(written.subarray(diskSize - MiB).equals(zero))
  assert.ok(middle(written).equals(middle(image)))
})

test('a checksum that differs is reported, the disk unbootable, and the agent exits 0', {
  skip,
}, async (t) => {
  const { plane, disk, run } = await site(t)
  const order = plane.order as DeployOrder
  order.image.checkSum = { type: 'md5', value: '0'.repeat(32) }
  const ran = await run()
  assert.equal(ran.status, 0, ran.stdout + ran.stderr)
  const outcome = plane.outcome()
  assert.ok(outcome?.kind === 'failed')
  assert.equal(outcome.failure.code, 'SUM')
  assert.equal(outcome.failure.disk, 'unbootable')
  assert.ok(readFileSync(disk).subarray(0, MiB).equals(Buffer.alloc(MiB)))
})

const wrong = [
  { what: 'no boot medium', args: ['--disk', 'a'] },
  { what: 'no disk', args: ['--boot-medium', 'a'] },
  { what: 'sectors of 513 bytes', args: ['--boot-medium', 'a', '--disk', 'b', '--sector-size', '513'] },
  { what: 'an unknown option', args: ['--boot-medium', 'a', '--disk', 'b', '--fast'] },
]
for (const { what, args } of wrong) {
  test(`${what} is wrong usage: exit status 2`, async () => {
    const ran = await agent(...args)
    assert.equal(ran.status, 2)
    assert.match(ran.stderr, /^usage: /)
  })
}

for (const [what, content] of [
  ['is no JSON', '{"secret":"canary'],
  ['lacks fields', '{"secret":"canary"}'],
] as const) {
  test(`a boot medium that ${what} ends the agent with exit status 1, its content unseen`, {
    skip,
  }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'byoi-agent-'))
    t.after(() => rmSync(directory, { recursive: true }))
    const medium = join(directory, 'broken.json')
    writeFileSync(medium, content)
    const ran = await agent('--boot-medium', medium, '--disk', join(directory, 'disk.img'))
    assert.equal(ran.status, 1)
    assert.match(ran.stdout, /The boot medium/)
    assert.doesNotMatch(ran.stdout + ran.stderr, /canary/)
  })
}
