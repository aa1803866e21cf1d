import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'

const launcher = join(import.meta.dirname, '..', '..', '..', 'byoi')
const packages = { 'qemu-img': 'qemu-utils', sgdisk: 'gdisk' }
const missing = Object.entries(packages).filter(
  ([tool]) => spawnSync(tool, ['--version']).error !== undefined,
)
const skip =
  missing.length > 0 && missing.map(([tool, name]) => `${tool} is not installed (Debian: ${name})`).join(', ')

const MiB = 1024 ** 2
const directory = mkdtempSync(join(tmpdir(), 'byoi-cli-'))
after(() => rmSync(directory, { recursive: true }))
const at = (name: string) => join(directory, name)
const raw = at('image.raw')
const qcow2 = at('image.qcow2')

function tool(...[name = '', ...args]: string[]): string {
  const { status, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8' })
  assert.equal(status, 0, `${name} ${args.join(' ')}: ${stderr}`)
  return stdout
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

before(() => {
  if (skip) return
  const content = Buffer.alloc(16 * MiB)
  for (let at_ = 2 * MiB; at_ < 14 * MiB; at_ += 64 * 1024) content.write(`block at ${at_}`, at_)
  writeFileSync(raw, content)
  tool('sgdisk', '-n', '1:2048:0', '-t', '1:8300', raw)
  tool('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2)
})

interface Ran {
  status: number | null
  stdout: string
  stderr: string
  /** The last line of standard output. */
  result: Record<string, unknown> & { error?: Record<string, string> }
}

/** Runs `./byoi` as a process of its own. */
async function byoi(...args: string[]): Promise<Ran> {
  const child = spawn(launcher, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [status] = await exited
  const last = stdout.trimEnd().split('\n').at(-1) ?? ''
  return { status, stdout, stderr, result: (last.startsWith('{') ? JSON.parse(last) : {}) as Ran['result'] }
}

test('write puts a raw image on a new file, verified, with the backup GPT at its end', { skip }, async () => {
  const to = at('raw.img')
  const checksum = sha256(readFileSync(raw))
  const image = [raw, '--type', 'raw', '--checksum', `sha256:${checksum}`]
  const ran = await byoi('write', ...image, '--to', to, '--size', '32MiB')
  assert.equal(ran.status, 0, ran.stderr)
  const { status, format, virtualSize, disk, checksumType, seconds } = ran.result
  assert.deepEqual(
    { status, format, virtualSize, disk, checksum: ran.result['checksum'], checksumType },
    {
      status: 'done',
      format: 'raw',
      virtualSize: 16 * MiB,
      disk: 'complete',
      checksum,
      checksumType: 'sha256',
    },
  )
  assert.equal(typeof seconds, 'number')
  assert.match(tool('sgdisk', '-v', to), /No problems found/)
  const written = readFileSync(to)
  assert.equal(written.length, 32 * MiB)
  assert.equal(sha256(written.subarray(MiB, 15 * MiB)), sha256(readFileSync(raw).subarray(MiB, 15 * MiB)))
})

test('write reads qcow2 over HTTP with the header given, and adds a config drive', { skip }, async (t) => {
  const served = readFileSync(qcow2)
  const server = createServer((request, response) => {
    if (request.headers['x-token'] !== 'canary') response.writeHead(403).end()
    else response.writeHead(200, { 'content-length': served.length }).end(served)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/image.qcow2?signature=canary`
  const drive = at('drive.json')
  writeFileSync(
    drive,
    JSON.stringify({ enable: true, hostname: 'node-1', userData: '#cloud-config\ncanary' }),
  )
  const to = at('qcow2.img')
  const target = ['--to', to, '--size', '128MiB', '--configdrive', drive]

  const refused = await byoi('write', url, '--type', 'qcow2', ...target)
  assert.equal(refused.status, 1)
  assert.equal(refused.result['disk'], 'untouched')
  const { port } = new URL(url)
  assert.equal(
    refused.result.error?.['message'],
    `Could not download image located: http://127.0.0.1:${port}/image.qcow2?***`,
  )

  const ran = await byoi('write', url, '--type', 'qcow2', '--header', 'X-Token: canary', ...target)
  assert.equal(ran.status, 0, ran.stderr)
  assert.equal(ran.result['checksum'], sha256(served))
  assert.match(tool('sgdisk', '-p', to), /config-2/)
  assert.match(tool('sgdisk', '-v', to), /No problems found/)
  for (const { stdout, stderr } of [refused, ran]) assert.doesNotMatch(stdout + stderr, /canary/)
})

test('write --grow-last-partition lets the partition reach to the end of the disk', { skip }, async () => {
  const to = at('grown.img')
  const image = [raw, '--type', 'raw', '--to', to, '--size', '32MiB']
  const ran = await byoi('write', ...image, '--grow-last-partition')
  assert.equal(ran.status, 0, ran.stderr)
  assert.match(tool('sgdisk', '-i', '1', to), /Last sector: 63487 /)
  assert.match(tool('sgdisk', '-v', to), /No problems found/)
  assert.match(String(ran.result['notes']), /Partition 1 was grown/)

  const refused = await byoi('write', ...image, '--grow-last-partition', '--data-disk')
  assert.equal(refused.status, 2)
  assert.match(refused.stderr, /--data-disk and --grow-last-partition/)
})

test('write --mirror writes all targets, and names the one that fails', { skip }, async () => {
  const targets = ['a.img', 'b.img', 'c.img'].map(at)
  const [a = '', b = '', c = ''] = targets
  const ran = await byoi(
    'write',
    raw,
    '--type',
    'raw',
    '--to',
    a,
    '--mirror',
    b,
    '--mirror',
    c,
    '--size',
    '32MiB',
  )
  assert.equal(ran.status, 0, ran.stderr)
  assert.equal(ran.result['disk'], 'complete')
  assert.match(tool('sgdisk', '-v', b), /No problems found/)
  for (const path of [b, c]) assert.equal(sha256(readFileSync(path)), sha256(readFileSync(a)))

  writeFileSync(c, Buffer.alloc(8 * MiB))
  const failed = await byoi('write', raw, '--type', 'raw', '--to', a, '--mirror', c)
  assert.equal(failed.status, 1)
  assert.equal(failed.result['disk'], 'untouched')
  assert.match(String(failed.result.error?.['cause']), /c\.img has 8388608/)
  assert.equal(sha256(readFileSync(a)), sha256(readFileSync(b)))
})

test('write with a wrong checksum fails as SUM and leaves nothing that boots', { skip }, async () => {
  const to = at('sum.img')
  const wrong = '0'.repeat(32)
  const ran = await byoi('write', raw, '--type', 'raw', '--checksum', `md5:${wrong}`, '--to', to)
  assert.equal(ran.status, 1)
  const got = createHash('md5').update(readFileSync(raw)).digest('hex')
  assert.equal(ran.result['status'], 'error')
  assert.equal(ran.result['disk'], 'unbootable')
  assert.equal(ran.result.error?.['code'], 'SUM')
  const message = `Bad md5 for downloaded file, got: ${got} while expecting ${wrong}.`
  assert.equal(ran.result.error['message'], message)
  assert.ok(ran.stderr.includes(`error: ${message}`))
  assert.ok(readFileSync(to).subarray(0, MiB).equals(Buffer.alloc(MiB)))
})

test('write --data-disk copies an image without a partition table', { skip }, async () => {
  const image = at('data.raw')
  const to = at('data.img')
  writeFileSync(image, Buffer.alloc(4 * MiB, 'no table'))
  const ran = await byoi('write', image, '--type', 'raw', '--to', to, '--data-disk', '--json')
  assert.equal(ran.status, 0, ran.stderr)
  assert.equal(ran.stderr, '')
  assert.equal(sha256(readFileSync(to)), sha256(readFileSync(image)))
})

const refusals = [
  {
    what: 'write of a raw image that is declared as ova',
    args: ['write', raw, '--type', 'ova', '--to', at('none.img')],
    code: 'FORMAT',
    message: 'Bad format image, expected: qcow2, raw.',
  },
  {
    what: 'write with checksum type crc32',
    args: ['write', raw, '--type', 'raw', '--checksum', 'crc32:00', '--to', at('none.img')],
    code: 'SUMTYPE',
    message: 'Bad checkSumType, expected: sha1, sha256, md5.',
  },
  {
    what: 'write of a raw image that is declared as qcow2',
    args: ['write', raw, '--type', 'qcow2', '--to', at('none.img')],
    code: 'FORMAT',
    message: 'Bad format image, expected: qcow2, raw.',
  },
  {
    what: 'write of a file that is not there',
    args: ['write', at('nothing'), '--type', 'raw', '--to', at('none.img')],
    code: 'DOWNLOAD',
    message: `Could not download image located: ${at('nothing')}`,
  },
  {
    what: 'write to a file that is too small',
    args: ['write', raw, '--type', 'raw', '--to', at('none.img'), '--size', '8MiB'],
    code: 'DISK',
    message: 'The target disk cannot take this image.',
  },
  {
    what: 'inspect for a UEFI server of an image without an EFI system partition',
    args: ['inspect', qcow2, '--boot', 'uefi'],
    code: 'BOOT',
    message: 'The image cannot boot on this server.',
  },
  {
    what: 'inspect for a legacy server of an image without boot code',
    args: ['inspect', raw, '--boot', 'legacy', '--bus', 'sata'],
    code: 'BOOT',
    message: 'The image cannot boot on this server.',
  },
  {
    what: 'inspect of a raw image that is declared as qcow2',
    args: ['inspect', raw, '--type', 'qcow2'],
    code: 'FORMAT',
    message: 'Bad format image, expected: qcow2, raw.',
  },
]
for (const { what, args, code, message } of refusals) {
  test(`${what} fails as ${code}, the disk untouched`, { skip }, async () => {
    const ran = await byoi(...args)
    assert.equal(ran.status, 1)
    assert.equal(ran.result['status'], 'error')
    assert.equal(ran.result['disk'], 'untouched')
    assert.equal(ran.result.error?.['code'], code)
    assert.equal(ran.result.error['message'], message)
    assert.match(ran.result.error['cause'] ?? '', /^\S.*\.$/)
    assert.match(ran.result.error['remedy'] ?? '', /^\S.*\.$/)
  })
}

for (const [file, format] of [
  [raw, 'raw'],
  [qcow2, 'qcow2'],
] as const) {
  test(`inspect says that ${format} is ${format}`, { skip }, async () => {
    const ran = await byoi('inspect', file, '--disk-size', '32MiB')
    assert.equal(ran.status, 0, ran.stderr)
    const { status, virtualSize } = ran.result
    assert.deepEqual(
      { status, format: ran.result['format'], virtualSize },
      { status: 'ok', format, virtualSize: 16 * MiB },
    )
  })
}

test('inspect shows a page, and with --json nothing but the object', { skip }, async () => {
  const page = await byoi('inspect', qcow2, '--disk-size', '32MiB')
  assert.match(page.stdout, /^\S*image\.qcow2\n {2}format +qcow2/)
  assert.match(page.stdout, /\nPartition table: GPT\n[^]*\nLayout\n[^]*\nVerdict\n/)
  const json = await byoi('inspect', qcow2, '--disk-size', '32MiB', '--json')
  assert.equal(json.stdout.trimEnd().split('\n').length, 1)
  assert.deepEqual(json.result, page.result)
})

test('inspect of an image that would be refused tells why, and what it found', { skip }, async () => {
  const ran = await byoi('inspect', qcow2, '--boot', 'uefi', '--disk-size', '32MiB')
  assert.equal(ran.status, 1)
  assert.match(ran.stdout, /\n {2}fits a disk of 32\.0 MiB +yes: /)
  assert.match(ran.stdout, /\n {2}boots by UEFI +no: The server boots by UEFI, and .* Use an image that/)
  const { verdicts, table, disk } = ran.result
  assert.equal((verdicts as { boots: { answer: string } }).boots.answer, 'no')
  assert.equal((table as { partitions: object[] }).partitions.length, 1)
  assert.equal(disk, 'untouched')
})

test('wrong usage ends with status 2 and no result', async () => {
  const ran = await byoi('write', raw, '--type', 'raw')
  assert.deepEqual({ status: ran.status, stdout: ran.stdout }, { status: 2, stdout: '' })
  assert.match(ran.stderr, /^error: required option '--to/)
})

test('write to a block device without a terminal and without --yes is wrong usage', async (t) => {
  // A major number for experiments, behind which there is no driver: should it be opened, nothing is lost.
  const device = at('device')
  if (spawnSync('mknod', [device, 'b', '240', '0']).status !== 0) return t.skip('mknod needs root')
  const ran = await byoi('write', raw, '--type', 'raw', '--to', device)
  assert.equal(ran.status, 2)
  assert.match(ran.stderr, /give --yes/)
  const mirrored = await byoi('write', raw, '--type', 'raw', '--to', at('none.img'), '--mirror', device)
  assert.equal(mirrored.status, 2)
  assert.match(mirrored.stderr, /To overwrite \S+\/device without being asked, give --yes/)
})
